-- What became of a transaction whose COMMIT was not answered: each leaves its number behind, on the line (connection)
-- it went over. A transaction's id in PostgreSQL does not do for that: a standby that was promoted gives ids again that
-- its primary had used for what never reached it.

CREATE TABLE mark (
    run integer NOT NULL,
    line integer NOT NULL,              -- one of the run's connections, numbered as they were opened
    number bigint NOT NULL,             -- of the last transaction on it
    PRIMARY KEY (run, line)
) WITH (fillfactor = 20, autovacuum_vacuum_cost_delay = 0);

-- As hold_run(run), and leaves a mark.
CREATE FUNCTION hold_run(wanted integer, used_line integer, used_number bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_run(wanted);
    INSERT INTO mark (run, line, number) VALUES (wanted, used_line, used_number)
    ON CONFLICT (run, line) DO UPDATE SET number = excluded.number;
END
$$;
