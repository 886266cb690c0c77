-- Who may see what. The one place for policies, grants and the owners of functions, whose text stands in a file for each subject; run after
-- those, anew after every migration, in one transaction, as the owner.
--
-- Every table with a tenant_id has row-level security enabled and forced. The tenant, the user and the reach are the session's (scope.sql);
-- without them every policy is false. The sub-select makes PostgreSQL evaluate them once per statement instead of once per row.

-- Start from nothing, so that a policy or grant that is no longer written here is gone.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN SELECT schemaname, tablename, policyname FROM pg_policies WHERE schemaname = 'aiaspire' LOOP
        EXECUTE format('DROP POLICY %I ON %I.%I', item.policyname, item.schemaname, item.tablename);
    END LOOP;
    FOR item IN
        SELECT c.relname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'aiaspire'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('ALTER TABLE aiaspire.%I ENABLE ROW LEVEL SECURITY', item.relname);
        EXECUTE format('ALTER TABLE aiaspire.%I FORCE ROW LEVEL SECURITY', item.relname);
    END LOOP;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA aiaspire FROM PUBLIC, aiaspire_app, aiaspire_functions, aiaspire_ledger, aiaspire_backup;
-- PostgreSQL lets everyone call a new function: none may be made after this.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA aiaspire FROM PUBLIC, aiaspire_app, aiaspire_ledger;
GRANT USAGE ON SCHEMA aiaspire TO aiaspire_app, aiaspire_functions, aiaspire_ledger, aiaspire_backup;
GRANT EXECUTE ON FUNCTION aiaspire.tenant_id(), aiaspire.user_id(), aiaspire.reach(), aiaspire.platform_id() TO aiaspire_app, aiaspire_functions, aiaspire_ledger, aiaspire_backup;

-- The migrator backfills; FORCE holds the owner to policies as well, so it has its own.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'aiaspire'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND NOT c.relispartition
    LOOP
        EXECUTE format('CREATE POLICY owner_backfill ON aiaspire.%I TO aiaspire_owner USING (true) WITH CHECK (true)', item.relname);
        EXECUTE format('GRANT SELECT ON aiaspire.%I TO aiaspire_backup', item.relname);
    END LOOP;
END
$$;

-- tenants: a session sees its own row; there is no way to list the others.
CREATE POLICY own_tenant ON aiaspire.tenants TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id())) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE ON aiaspire.tenants TO aiaspire_app;

-- Shared tables: the platform's rows are read by all, written only in the platform's scope.
CREATE POLICY own_or_platform ON aiaspire.tiers FOR SELECT TO aiaspire_app
    USING (tenant_id IN ((SELECT aiaspire.tenant_id()), aiaspire.platform_id()));
CREATE POLICY own_insert ON aiaspire.tiers FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_update ON aiaspire.tiers FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id())) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE ON aiaspire.tiers TO aiaspire_app;

CREATE POLICY own_or_platform ON aiaspire.model_prices FOR SELECT TO aiaspire_app
    USING (tenant_id IN ((SELECT aiaspire.tenant_id()), aiaspire.platform_id()));
-- No UPDATE: a price is never changed. No version begins in the past (but for the time that a request takes), and only one that has not
-- begun can be deleted, to be withdrawn or replaced: what a call was charged by stays.
CREATE POLICY own_insert ON aiaspire.model_prices FOR INSERT TO aiaspire_app
    WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND effective_from > now() - interval '1 minute');
CREATE POLICY own_withdraw ON aiaspire.model_prices FOR DELETE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND effective_from > now());
GRANT SELECT, INSERT, DELETE ON aiaspire.model_prices TO aiaspire_app;

-- The operators' entries of the catalog: every version stays.
CREATE POLICY own_read ON aiaspire.catalog_entries FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_insert ON aiaspire.catalog_entries FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT ON aiaspire.catalog_entries TO aiaspire_app;

CREATE POLICY own_or_platform ON aiaspire.kill_switches FOR SELECT TO aiaspire_app
    USING (tenant_id IN ((SELECT aiaspire.tenant_id()), aiaspire.platform_id()));
CREATE POLICY own_insert ON aiaspire.kill_switches FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_update ON aiaspire.kill_switches FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id())) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE ON aiaspire.kill_switches TO aiaspire_app;

-- provider_keys, provider_minutes: the platform's own, seen in its scope alone; retired keys stay as the record of what was in use.
CREATE POLICY own_rows ON aiaspire.provider_keys TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = 'service')
    WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = 'service');
GRANT SELECT, INSERT ON aiaspire.provider_keys TO aiaspire_app;
GRANT UPDATE (retires_at, last_used_at) ON aiaspire.provider_keys TO aiaspire_app;
CREATE POLICY own_rows ON aiaspire.provider_minutes TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = 'service')
    WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = 'service');
GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.provider_minutes TO aiaspire_app;

CREATE POLICY own_or_platform ON aiaspire.budgets FOR SELECT TO aiaspire_app
    USING (tenant_id IN ((SELECT aiaspire.tenant_id()), aiaspire.platform_id()));
CREATE POLICY own_insert ON aiaspire.budgets FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_update ON aiaspire.budgets FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id())) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_delete ON aiaspire.budgets FOR DELETE TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.budgets TO aiaspire_app;

-- users: one's own row; the identify step (service) and the tenant's administrators see the tenant's.
CREATE POLICY own_user ON aiaspire.users FOR SELECT TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id())
        AND (user_id = (SELECT aiaspire.user_id()) OR (SELECT aiaspire.reach()) IN ('service', 'tenant_admin')));
CREATE POLICY service_insert ON aiaspire.users FOR INSERT TO aiaspire_app
    WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) IN ('service', 'tenant_admin'));
CREATE POLICY admin_update ON aiaspire.users FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) IN ('service', 'tenant_admin'))
    WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE ON aiaspire.users TO aiaspire_app;

-- api_keys: the tenant's administrators; a key that arrives is found by find_api_key (tenancy.sql).
CREATE POLICY admin_keys ON aiaspire.api_keys TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) IN ('service', 'tenant_admin'))
    WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) IN ('service', 'tenant_admin'));
GRANT SELECT, INSERT, UPDATE ON aiaspire.api_keys TO aiaspire_app;

-- What one user wrote is that user's.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['conversations', 'messages', 'feedback', 'jobs', 'job_parts', 'files', 'file_chunks', 'batches', 'idempotency_keys'] LOOP
        EXECUTE format(
            'CREATE POLICY own_rows ON aiaspire.%I TO aiaspire_app
                USING (tenant_id = (SELECT aiaspire.tenant_id()) AND user_id = (SELECT aiaspire.user_id()))
                WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND user_id = (SELECT aiaspire.user_id()))', table_name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.%I TO aiaspire_app', table_name);
    END LOOP;
END
$$;

-- What became of a user's jobs, and what they say while they run: added to by the user's own transactions, never changed.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['job_history', 'job_events'] LOOP
        EXECUTE format(
            'CREATE POLICY own_read ON aiaspire.%I FOR SELECT TO aiaspire_app
                USING (tenant_id = (SELECT aiaspire.tenant_id()) AND user_id = (SELECT aiaspire.user_id()))', table_name);
        EXECUTE format(
            'CREATE POLICY own_insert ON aiaspire.%I FOR INSERT TO aiaspire_app
                WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND user_id = (SELECT aiaspire.user_id()))', table_name);
        EXECUTE format('GRANT SELECT, INSERT ON aiaspire.%I TO aiaspire_app', table_name);
    END LOOP;
END
$$;

-- ledger: attempts of all tenants are opened, and the calls of all that end at the same moment are settled in one commit, by the ledger
-- role. It writes and cannot read: of what it wrote it sees no more than the keys that its statements match on. Nothing is ever
-- deleted. Ledger rows carry a pseudonym, so the tenant is the boundary there.
CREATE POLICY open_any ON aiaspire.ledger_attempts FOR INSERT TO aiaspire_ledger WITH CHECK (outcome = 'Open');
CREATE POLICY find_any ON aiaspire.ledger_attempts FOR SELECT TO aiaspire_ledger USING (true);
-- Abandoned: closed at the estimate by reconcile_attempts. A call that outlived its lease and ends after all has the true figures.
CREATE POLICY close_any ON aiaspire.ledger_attempts FOR UPDATE TO aiaspire_ledger USING (outcome IN ('Open', 'Abandoned')) WITH CHECK (true);
GRANT INSERT, SELECT (tenant_id, attempt_id, request_id, outcome), UPDATE (outcome, status_code, error_code, usage_source, input_tokens, cached_input_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, provider_request_id, settled_at, latency_ms, first_token_ms)
    ON aiaspire.ledger_attempts TO aiaspire_ledger;
CREATE POLICY book_any ON aiaspire.ledger_requests FOR INSERT TO aiaspire_ledger WITH CHECK (true);
CREATE POLICY find_any ON aiaspire.ledger_requests FOR SELECT TO aiaspire_ledger USING (true);
CREATE POLICY correct_any ON aiaspire.ledger_requests FOR UPDATE TO aiaspire_ledger USING (outcome = 'abandoned') WITH CHECK (true);
GRANT INSERT, SELECT (tenant_id, request_id, outcome), UPDATE (api_key_id, conversation_id, requested_model, model, provider, outcome, stream, attempts,
    input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, charged_cost, started_at, finished_at, latency_ms)
    ON aiaspire.ledger_requests TO aiaspire_ledger;
CREATE POLICY touch_any ON aiaspire.conversations TO aiaspire_ledger USING (true) WITH CHECK (true);
GRANT INSERT, SELECT (tenant_id, user_id, conversation_id, last_message_at), UPDATE (last_message_at) ON aiaspire.conversations TO aiaspire_ledger;
CREATE POLICY add_any ON aiaspire.messages FOR INSERT TO aiaspire_ledger WITH CHECK (true);
GRANT INSERT ON aiaspire.messages TO aiaspire_ledger;
CREATE POLICY own_read ON aiaspire.ledger_attempts FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_close ON aiaspire.ledger_attempts FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND outcome IN ('Open', 'Abandoned')) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT ON aiaspire.ledger_attempts TO aiaspire_app;
GRANT UPDATE (outcome, status_code, error_code, usage_source, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
    reasoning_tokens, provider_cost, provider_request_id, settled_at, latency_ms, first_token_ms) ON aiaspire.ledger_attempts TO aiaspire_app;
CREATE POLICY own_read ON aiaspire.ledger_requests FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_insert ON aiaspire.ledger_requests FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_correct ON aiaspire.ledger_requests FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND outcome = 'abandoned') WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE ON aiaspire.ledger_requests TO aiaspire_app;

-- usage: sums of the ledger, written by roll_up_usage (usage.sql) and by nothing else.
CREATE POLICY own_read ON aiaspire.usage_rollups FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_read ON aiaspire.usage_late_marks FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT ON aiaspire.usage_rollups, aiaspire.usage_late_marks TO aiaspire_app;

-- audit: read by auditors; written by append_audit (audit.sql) and by nothing else. Nobody updates or deletes an entry.
CREATE POLICY auditor_read ON aiaspire.audit_entries FOR SELECT TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = 'auditor');
CREATE POLICY auditor_read ON aiaspire.audit_heads FOR SELECT TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = 'auditor');
GRANT SELECT ON aiaspire.audit_entries, aiaspire.audit_heads TO aiaspire_app;

-- notifications: put out and administered by steps of our own and the tenant's administrators, not by its users. The rota of those on
-- call is the platform's.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['notification_settings', 'notification_webhooks', 'notifications', 'notification_deliveries', 'on_call_contacts'] LOOP
        EXECUTE format(
            'CREATE POLICY own_rows ON aiaspire.%I TO aiaspire_app
                USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) IN (''service'', ''tenant_admin''))
                WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) IN (''service'', ''tenant_admin''))', table_name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE ON aiaspire.notification_settings, aiaspire.notification_deliveries TO aiaspire_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.notification_webhooks, aiaspire.on_call_contacts TO aiaspire_app;
GRANT SELECT, INSERT ON aiaspire.notifications TO aiaspire_app; -- what was said is not changed

-- schedules: the platform's own; written by the workers, and by operators who ask for a run.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['schedules', 'schedule_runs'] LOOP
        EXECUTE format(
            'CREATE POLICY own_rows ON aiaspire.%I TO aiaspire_app
                USING (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = ''service'')
                WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND (SELECT aiaspire.reach()) = ''service'')', table_name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.%I TO aiaspire_app', table_name);
    END LOOP;
END
$$;

-- ── Cross-tenant functions ───────────────────────────────────────────────────────────────────────────────────────────────────────
-- They run as aiaspire_functions, which sees just the tables and columns granted to it here. Each has a fixed search_path.
GRANT CREATE ON SCHEMA aiaspire TO aiaspire_functions; -- asked for by ALTER FUNCTION … OWNER TO; taken back below
CREATE POLICY functions_read ON aiaspire.api_keys FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_read ON aiaspire.tenants FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_all ON aiaspire.jobs TO aiaspire_functions USING (true) WITH CHECK (true);
CREATE POLICY functions_all ON aiaspire.job_history TO aiaspire_functions USING (true) WITH CHECK (true);
CREATE POLICY functions_expiry ON aiaspire.job_events TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.job_parts TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.files TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.batches TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.conversations TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.messages TO aiaspire_functions USING (true);
CREATE POLICY functions_expiry ON aiaspire.idempotency_keys TO aiaspire_functions USING (true);
GRANT SELECT (tenant_id, user_id, route, key, expires_at), DELETE ON aiaspire.idempotency_keys TO aiaspire_functions;
GRANT SELECT ON aiaspire.api_keys, aiaspire.tenants TO aiaspire_functions;
GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.jobs TO aiaspire_functions;
-- FOR UPDATE asks for UPDATE on at least one column.
GRANT SELECT, INSERT, UPDATE (finished_at), DELETE ON aiaspire.job_history TO aiaspire_functions;
GRANT SELECT (tenant_id, user_id, job_id, sequence, created_at), UPDATE (created_at), DELETE ON aiaspire.job_events TO aiaspire_functions;
GRANT SELECT (tenant_id, user_id, work_id, part, cost, created_at), UPDATE (created_at), DELETE ON aiaspire.job_parts TO aiaspire_functions;
GRANT SELECT (tenant_id, user_id, file_id, is_ready, created_at, expires_at), UPDATE (expires_at), DELETE ON aiaspire.files TO aiaspire_functions;
GRANT SELECT (tenant_id, user_id, batch_id, input_file_id, state, total, cancelling_at, created_at), UPDATE (state, finished_at), DELETE ON aiaspire.batches TO aiaspire_functions;
GRANT SELECT (tenant_id, user_id, conversation_id, last_message_at), DELETE ON aiaspire.conversations TO aiaspire_functions;
-- FOR UPDATE asks for UPDATE on at least one column.
GRANT UPDATE (last_message_at) ON aiaspire.conversations TO aiaspire_functions;
GRANT SELECT (tenant_id, user_id, conversation_id), DELETE ON aiaspire.messages TO aiaspire_functions;
CREATE POLICY functions_read ON aiaspire.audit_entries FOR SELECT TO aiaspire_functions USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY functions_append ON aiaspire.audit_entries FOR INSERT TO aiaspire_functions WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY functions_heads ON aiaspire.audit_heads TO aiaspire_functions USING (true) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT (tenant_id, sequence, entry_id), INSERT ON aiaspire.audit_entries TO aiaspire_functions;
GRANT SELECT, INSERT, UPDATE ON aiaspire.audit_heads TO aiaspire_functions;

CREATE POLICY functions_read ON aiaspire.budgets FOR SELECT TO aiaspire_functions USING (true);
GRANT SELECT (tenant_id, budget_id, scope, selector, unit, period) ON aiaspire.budgets TO aiaspire_functions;
CREATE POLICY functions_read ON aiaspire.ledger_requests FOR SELECT TO aiaspire_functions USING (true);
GRANT SELECT (tenant_id, request_id, user_pseudonym, feature, tier, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
    provider_cost, charged_cost, started_at, finished_at) ON aiaspire.ledger_requests TO aiaspire_functions;

CREATE POLICY functions_read ON aiaspire.notifications FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.notifications FOR DELETE TO aiaspire_functions USING (true);
CREATE POLICY functions_read ON aiaspire.notification_webhooks FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_claim ON aiaspire.notification_deliveries TO aiaspire_functions USING (true) WITH CHECK (true);
CREATE POLICY functions_jobs ON aiaspire.notifications FOR INSERT TO aiaspire_functions
    WITH CHECK (topic IN ('job.completed', 'job.failed', 'job.cancelled', 'batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'));
GRANT SELECT, INSERT, DELETE ON aiaspire.notifications TO aiaspire_functions;
GRANT SELECT ON aiaspire.notification_webhooks TO aiaspire_functions;
GRANT SELECT, INSERT, UPDATE (tries, available_at, lease_token) ON aiaspire.notification_deliveries TO aiaspire_functions;

CREATE POLICY functions_reconcile ON aiaspire.ledger_attempts FOR UPDATE TO aiaspire_functions USING (outcome = 'Open') WITH CHECK (outcome = 'Abandoned');
CREATE POLICY functions_read ON aiaspire.ledger_attempts FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_abandon ON aiaspire.ledger_requests FOR INSERT TO aiaspire_functions WITH CHECK (outcome = 'abandoned');
CREATE POLICY functions_abandon_more ON aiaspire.ledger_requests FOR UPDATE TO aiaspire_functions USING (outcome = 'abandoned') WITH CHECK (outcome = 'abandoned');
CREATE POLICY functions_read ON aiaspire.model_prices FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_all ON aiaspire.usage_rollups TO aiaspire_functions USING (true) WITH CHECK (true);
CREATE POLICY functions_all ON aiaspire.usage_late_marks TO aiaspire_functions USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (outcome, usage_source, error_code, input_tokens, output_tokens, provider_cost, settled_at) ON aiaspire.ledger_attempts TO aiaspire_functions;
GRANT SELECT, INSERT, UPDATE (attempts, provider_cost, finished_at) ON aiaspire.ledger_requests TO aiaspire_functions;
GRANT SELECT ON aiaspire.model_prices TO aiaspire_functions;
GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.usage_rollups, aiaspire.usage_late_marks, aiaspire.usage_progress TO aiaspire_functions;

ALTER FUNCTION aiaspire.claim_notifications(integer, integer, integer, interval) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_old_notifications(integer, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.reconcile_attempts(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.open_attempts(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.mark_late_usage() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.roll_up_usage() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.usage_sums_of_all(text, timestamptz, timestamptz, text[]) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.top_users_of_all(timestamptz, timestamptz, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.append_audit(uuid, text, text, text, text, text, uuid, jsonb) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.audit_heads_since(timestamptz) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.note_signed_head(bigint) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.find_api_key(bytea) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.find_tenant(text) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.list_tenants(uuid, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.claim_jobs(text, text[], integer, interval, integer, integer, uuid, boolean, timestamptz, uuid[], smallint[], timestamptz[]) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.job_payloads(uuid[], uuid[], uuid[], uuid[]) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.renew_jobs(uuid[], uuid[], uuid[], uuid[], interval) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.finish_jobs(uuid[], uuid[], uuid[], uuid[], text[], bytea[], text[], text[], numeric[]) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.job_queue_status() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.list_dead_letters(uuid, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.tenant_queue() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.redrive_dead_letters(uuid, integer, interval) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_job_events(interval, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_jobs(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_job_parts(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_files(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_batches(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.tell_finished_batch() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.fail_batch() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_conversations(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.expired_by_retention(interval) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.tell_finished_jobs() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_idempotency_keys(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.list_budgets() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.limit_use(timestamptz, timestamptz) OWNER TO aiaspire_functions;
REVOKE CREATE ON SCHEMA aiaspire FROM aiaspire_functions;
GRANT EXECUTE ON FUNCTION aiaspire.claim_notifications(integer, integer, integer, interval), aiaspire.delete_old_notifications(integer, integer) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.reconcile_attempts(integer), aiaspire.open_attempts(integer), aiaspire.roll_up_usage(),
    aiaspire.usage_sums_of_all(text, timestamptz, timestamptz, text[]), aiaspire.top_users_of_all(timestamptz, timestamptz, integer) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.usage_sums(text, timestamptz, timestamptz, text[]), aiaspire.top_users(timestamptz, timestamptz, integer)
    TO aiaspire_app, aiaspire_functions;
GRANT EXECUTE ON FUNCTION aiaspire.usage_rollup_minutes(uuid, timestamptz, timestamptz), aiaspire.keep_usage(uuid, text, timestamptz, timestamptz),
    aiaspire.is_past(timestamptz, integer), aiaspire.is_expired_job(uuid, timestamptz, integer), aiaspire.is_expired_event(uuid, timestamptz, interval),
    aiaspire.is_kept_work(uuid, uuid, uuid), aiaspire.is_expired_part(uuid, uuid, uuid, timestamptz, integer), aiaspire.is_read_by_batch(uuid, uuid, uuid),
    aiaspire.is_expired_file(uuid, uuid, uuid, boolean, timestamptz, timestamptz, integer), aiaspire.is_expired_batch(text, timestamptz, integer),
    aiaspire.id_minute(uuid), aiaspire.most_cost(aiaspire.model_prices, bigint, bigint) TO aiaspire_functions;
-- In the conditions of triggers, with the rights of whoever settles.
GRANT EXECUTE ON FUNCTION aiaspire.least_id(timestamptz) TO aiaspire_app, aiaspire_functions, aiaspire_ledger;
GRANT EXECUTE ON FUNCTION aiaspire.find_api_key(bytea), aiaspire.find_tenant(text),
    aiaspire.delete_expired_conversations(integer), aiaspire.append_audit(uuid, text, text, text, text, text, uuid, jsonb),
    aiaspire.audit_heads_since(timestamptz), aiaspire.note_signed_head(bigint), aiaspire.list_tenants(uuid, integer), aiaspire.delete_expired_idempotency_keys(integer),
    aiaspire.list_budgets(), aiaspire.limit_use(timestamptz, timestamptz) TO aiaspire_app;
-- The queue (jobs.sql): claims, heartbeats and completions of workers, which serve all tenants; retention; and what administrators see of their tenant's.
GRANT EXECUTE ON FUNCTION
    aiaspire.claim_jobs(text, text[], integer, interval, integer, integer, uuid, boolean, timestamptz, uuid[], smallint[], timestamptz[]),
    aiaspire.job_payloads(uuid[], uuid[], uuid[], uuid[]),
    aiaspire.renew_jobs(uuid[], uuid[], uuid[], uuid[], interval),
    aiaspire.finish_jobs(uuid[], uuid[], uuid[], uuid[], text[], bytea[], text[], text[], numeric[]),
    aiaspire.job_queue_status(),
    aiaspire.list_dead_letters(uuid, integer),
    aiaspire.tenant_queue(),
    aiaspire.redrive_dead_letters(uuid, integer, interval),
    aiaspire.delete_expired_job_events(interval, integer),
    aiaspire.delete_expired_jobs(integer),
    aiaspire.delete_expired_job_parts(integer),
    aiaspire.delete_expired_files(integer),
    aiaspire.delete_expired_batches(integer)
    TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.expired_by_retention(interval) TO aiaspire_app;
-- With the owner's rights (partitions.sql says why).
GRANT EXECUTE ON FUNCTION aiaspire.ensure_partitions() TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.audit_field(bytea) TO aiaspire_functions;

-- ── Functions with the rights of their caller ────────────────────────────────────────────────────────────────────────────────────
GRANT EXECUTE ON FUNCTION aiaspire.finish_job(uuid, uuid, uuid, uuid, text, bytea, text, text, numeric),
    aiaspire.hold_job(uuid, uuid, uuid, uuid), aiaspire.keep_part(uuid, uuid, uuid, uuid, uuid, integer, uuid, boolean, numeric, bytea),
    aiaspire.release_job(uuid, uuid, uuid, uuid, interval, integer, integer, text), aiaspire.cancel_job(uuid, uuid, uuid),
    aiaspire.seal_file(uuid, uuid, uuid, bigint, interval, bigint) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.complete_idempotency_key(uuid, uuid, text, text, uuid, bytea) TO aiaspire_app;

-- Quartz keeps its schedules here; they belong to no tenant.
GRANT USAGE ON SCHEMA quartz TO aiaspire_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA quartz TO aiaspire_app;
