-- Roles, run by whoever may create them. Safe to run again. Passwords are set apart, from configuration.
--
-- aiaspire_owner      owns every table; nobody logs in as it
-- aiaspire_migrator   logs in to change the schema; acts as the owner
-- aiaspire_app        the processes; sees only what the row policies show it, owns nothing
-- aiaspire_functions  owns the cross-tenant functions; nobody logs in as it
-- aiaspire_ledger     writes ledger, conversations and messages for all tenants; reads no more than the keys that its statements match on
-- aiaspire_backup     dumps everything
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['aiaspire_owner', 'aiaspire_functions'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', role_name);
        END IF;
    END LOOP;
    FOREACH role_name IN ARRAY ARRAY['aiaspire_migrator', 'aiaspire_app', 'aiaspire_ledger', 'aiaspire_keys'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOBYPASSRLS', role_name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aiaspire_backup') THEN
        CREATE ROLE aiaspire_backup LOGIN BYPASSRLS;
    END IF;
END
$$;

-- Its few statements are prepared and reach rows by their keys alone. Left to choose, PostgreSQL plans them anew each time, because a plan
-- that knows its months looks cheaper by more than the planning costs; that was a third of its time for a chat request. A plan that is kept
-- may have been made while the table was empty, so it must not scan.
ALTER ROLE aiaspire_ledger SET plan_cache_mode = force_generic_plan;
ALTER ROLE aiaspire_ledger SET enable_seqscan = off;

GRANT aiaspire_functions TO aiaspire_owner;
GRANT aiaspire_owner TO aiaspire_migrator;
