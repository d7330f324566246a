-- Order within a contact.

-- name: contact_of
SELECT endpoint, contact FROM delivery WHERE id = ? AND contact IS NOT NULL;

-- name: next_open
SELECT id, at_ms, contact_wait_ms, state = 0 AND in_flight = 0 AND attempts = 0 FROM delivery
WHERE endpoint = ? AND contact = ? AND contact IS NOT NULL AND state IN (0, 2, 5) AND id > ?
ORDER BY id LIMIT 1;

-- name: earlier_open
SELECT id FROM delivery
WHERE endpoint = ? AND contact = ? AND contact IS NOT NULL AND state IN (0, 2, 5) AND id < ?
ORDER BY id DESC LIMIT 1;

-- name: set_turn
UPDATE delivery SET at_ms = ? WHERE id = ?;
