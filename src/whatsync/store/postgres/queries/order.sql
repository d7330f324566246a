-- Order within a contact.

-- name: lock_contacts
SELECT pg_advisory_xact_lock(contact) FROM unnest(:contacts::bigint[]) AS contact;

-- name: next_open
SELECT id, due_ms, contact_wait_ms, turn, state = 0 AND holder IS NULL AND attempts = 0 FROM open_delivery
WHERE endpoint = :endpoint AND contact = :contact::bigint AND contact IS NOT NULL AND turn > :turn
ORDER BY turn LIMIT 1 FOR UPDATE;

-- name: earlier_open
SELECT id FROM open_delivery
WHERE endpoint = :endpoint AND contact = :contact::bigint AND contact IS NOT NULL AND turn < :turn
ORDER BY turn DESC LIMIT 1;

-- name: set_turn
UPDATE open_delivery SET due_ms = :due_ms::bigint WHERE id = :id;
