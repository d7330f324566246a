-- Events that matched no endpoint, by their type: a list without some types walks past none of theirs.
DROP INDEX event_unmatched;
CREATE INDEX event_unmatched ON event (account, type, seq) WHERE deliveries = 0;
