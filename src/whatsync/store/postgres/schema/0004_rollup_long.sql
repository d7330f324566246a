-- The same counts by the hour and by the day, written together with `rollup`: a chart of a long time reads few rows.
CREATE TABLE rollup_long (
    account integer NOT NULL,
    endpoint integer NOT NULL,
    step_ms integer NOT NULL,           -- an hour or a day
    start_ms bigint NOT NULL,
    outcome integer NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (account, endpoint, step_ms, start_ms, outcome, bucket)
);

INSERT INTO rollup_long (account, endpoint, step_ms, start_ms, outcome, bucket, count)
SELECT account, endpoint, 3600000, start_ms - start_ms % 3600000, outcome, bucket, sum(count) FROM rollup
GROUP BY 1, 2, 4, 5, 6;

INSERT INTO rollup_long (account, endpoint, step_ms, start_ms, outcome, bucket, count)
SELECT account, endpoint, 86400000, start_ms - start_ms % 86400000, outcome, bucket, sum(count) FROM rollup_long
GROUP BY 1, 2, 4, 5, 6;
