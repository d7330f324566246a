-- Old versions of endpoints go when nothing points to them any more. until_row: the highest row number in use when the
-- version was replaced or its endpoint deleted; NULL while it is the present one. Only older deliveries can have used it.

ALTER TABLE document_version ADD COLUMN until_row INTEGER;

UPDATE document_version SET until_row = max(
    ifnull((SELECT max(seq) FROM event), 0),
    ifnull((SELECT max(id) FROM delivery), 0)
)
WHERE NOT EXISTS (
    SELECT 1 FROM document AS d
    WHERE d.kind = document_version.kind AND d.row = document_version.row AND d.version = document_version.version
);

CREATE INDEX document_version_old ON document_version (account) WHERE until_row IS NOT NULL;
