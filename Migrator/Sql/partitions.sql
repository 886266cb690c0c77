-- Months of the tables that are partitioned by the time inside a UUIDv7 (RFC 9562: its first 48 bits are Unix milliseconds). Run before
-- security.sql, which says who may call what.

-- From the month before to two after this one, of each table; and months before that which retention has emptied are dropped. Each adds to
-- every plan; should nobody run this for so long, rows go to the default partition.
CREATE OR REPLACE FUNCTION aiaspire.make_partitions(p_now timestamptz) RETURNS TABLE (made integer, dropped integer)
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
DECLARE
    c_months_ahead CONSTANT integer := 3;
    -- Without a zone: month and day are those of UTC whatever the session's zone.
    v_first CONSTANT timestamp := date_trunc('month', p_now AT TIME ZONE 'UTC') - interval '1 month';
    v_table record;
    v_part record;
    v_from timestamp;
    v_bounds text[];
    v_filled boolean;
BEGIN
    made := 0;
    dropped := 0;
    -- One at a time: migrations and the schedule of the workers.
    PERFORM pg_advisory_xact_lock(1095058259, 2);
    FOR v_table IN SELECT * FROM (VALUES ('ledger_attempts', 'attempt_id'), ('ledger_requests', 'request_id'), ('job_history', 'job_id')) AS t (name, id) LOOP
        FOR i IN 0..c_months_ahead LOOP
            v_from := v_first + make_interval(months => i);
            CONTINUE WHEN to_regclass(format('aiaspire.%I', v_table.name || to_char(v_from, '_YYYY_MM'))) IS NOT NULL;
            v_bounds := ARRAY(
                SELECT (lpad(to_hex((extract(epoch FROM b) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid::text
                FROM unnest(ARRAY[v_from, v_from + interval '1 month']) WITH ORDINALITY AS x (b, position) ORDER BY position);
            EXECUTE format('CREATE TABLE aiaspire.%I PARTITION OF aiaspire.%I FOR VALUES FROM (%L) TO (%L)',
                v_table.name || to_char(v_from, '_YYYY_MM'), v_table.name, v_bounds[1], v_bounds[2]);
            -- Whoever names the partition itself is held by policies too, of which it has none.
            EXECUTE format('ALTER TABLE aiaspire.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', v_table.name || to_char(v_from, '_YYYY_MM'));
            made := made + 1;
        END LOOP;

        FOR v_part IN
            SELECT c.relname, to_date(right(c.relname, 7), 'YYYY_MM')::timestamp AS begins
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = format('aiaspire.%I', v_table.name)::regclass AND c.relname ~ '_\d{4}_\d{2}$' AND to_date(right(c.relname, 7), 'YYYY_MM') < v_first
        LOOP
            -- Through the parent, whose policy lets the owner see; the partition itself would look empty to it.
            IF NOT EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = 'aiaspire' AND p.tablename = v_table.name AND p.policyname = 'owner_backfill') THEN
                RAISE EXCEPTION 'the owner cannot see whether % is empty', v_part.relname;
            END IF;
            EXECUTE format('LOCK TABLE aiaspire.%I IN ACCESS EXCLUSIVE MODE', v_part.relname);
            EXECUTE format('SELECT EXISTS (SELECT FROM aiaspire.%I WHERE %I >= $1 AND %I < $2)', v_table.name, v_table.id, v_table.id) INTO v_filled
                USING (lpad(to_hex((extract(epoch FROM v_part.begins) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid,
                    (lpad(to_hex((extract(epoch FROM v_part.begins + interval '1 month') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
            IF NOT v_filled THEN
                EXECUTE format('DROP TABLE aiaspire.%I', v_part.relname);
                dropped := dropped + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN NEXT;
END
$$;

-- The same for the workers' schedule. The one function with the owner's rights: only an owner adds and drops partitions. It takes no
-- argument, and gives up rather than hold up the ledger behind a lock that it waits for.
CREATE OR REPLACE FUNCTION aiaspire.ensure_partitions() RETURNS TABLE (made integer, dropped integer)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '2s'
    AS $$ SELECT p.made, p.dropped FROM aiaspire.make_partitions(now()) p $$;
