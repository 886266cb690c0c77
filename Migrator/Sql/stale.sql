-- Functions are made anew each time, in the transaction of the files that follow: one with other parameters or another result than before would
-- otherwise stand beside the old one, or be refused. Those that policies, triggers or defaults are built on stay, and are replaced in their place.
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'aiaspire'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = p.oid)
    LOOP
        EXECUTE format('DROP FUNCTION %s', v_function);
    END LOOP;
END
$$;
