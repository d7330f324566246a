-- Texts that repeat.

-- name: word_text
SELECT text FROM word WHERE id = ?;

-- name: word_number
SELECT id FROM word WHERE text = ?;

-- name: insert_word
INSERT INTO word (text) VALUES (?) RETURNING id;
