-- Who may see what. The one place for policies, grants and SECURITY DEFINER functions (those of the queue and of the partitions have their
-- text in jobs.sql and partitions.sql, and their rights here); applied anew after every migration, in one
-- transaction, as the owner.
--
-- Every table with a tenant_id has row-level security enabled and forced. The tenant, the user and the reach come from settings that
-- TenantSession makes for one transaction; without them every policy is false. current_setting(…, true) is '' after such a
-- transaction, hence nullif. The sub-select makes PostgreSQL evaluate it once per statement instead of once per row.

CREATE OR REPLACE FUNCTION aiaspire.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;
CREATE OR REPLACE FUNCTION aiaspire.user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.user_id', true), '')::uuid;
CREATE OR REPLACE FUNCTION aiaspire.reach() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('app.reach', true);
CREATE OR REPLACE FUNCTION aiaspire.platform_id() RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00000000-0000-7000-8000-000000000001'::uuid;

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

-- api_keys: the tenant's administrators; a key that arrives is found by find_api_key below.
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

-- usage: sums of the ledger, written by roll_up_usage below and by nothing else.
CREATE POLICY own_read ON aiaspire.usage_rollups FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_read ON aiaspire.usage_late_marks FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT ON aiaspire.usage_rollups, aiaspire.usage_late_marks TO aiaspire_app;

-- audit: read by auditors; written by append_audit below and by nothing else. Nobody updates or deletes an entry.
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
GRANT SELECT (tenant_id, user_id, work_id, part, created_at), UPDATE (created_at), DELETE ON aiaspire.job_parts TO aiaspire_functions;
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

-- The limits' counters are rebuilt for all tenants at once when Redis has lost them: what adds up, and the sums of what was used. No
-- amount of a budget and no single request comes back.
CREATE OR REPLACE FUNCTION aiaspire.list_budgets()
    RETURNS TABLE (tenant_id uuid, budget_id uuid, scope text, selector text, unit text, period text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT b.tenant_id, b.budget_id, b.scope, b.selector, b.unit, b.period FROM aiaspire.budgets b;
    $$;

-- Costs in billionths of a dollar. The bound on the id is the start's as a UUIDv7, which keeps it to the partitions of the period.
CREATE OR REPLACE FUNCTION aiaspire.limit_use(p_since timestamptz, p_until timestamptz)
    RETURNS TABLE (tenant_id uuid, user_pseudonym uuid, feature text, tier text, hour timestamptz, tokens bigint, charged bigint, provider bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT r.tenant_id, r.user_pseudonym, r.feature, r.tier, date_trunc('hour', r.started_at, 'UTC'),
            sum(r.input_tokens + r.cached_input_tokens + r.cache_write_tokens + r.output_tokens)::bigint,
            sum(r.charged_cost * 1000000000)::bigint, sum(r.provider_cost * 1000000000)::bigint
        FROM aiaspire.ledger_requests r
        WHERE r.request_id >= (lpad(to_hex((extract(epoch FROM p_since) * 1000)::bigint - 60000), 12, '0') || repeat('0', 20))::uuid
            AND r.started_at >= p_since AND r.finished_at <= p_until
        GROUP BY 1, 2, 3, 4, 5;
    $$;
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

-- A key arrives before its tenant is known. The hash of 256 random bits is the proof; no other row can be reached.
CREATE OR REPLACE FUNCTION aiaspire.find_api_key(p_hash bytea)
    RETURNS TABLE (tenant_id uuid, api_key_id uuid, user_id uuid, prefix text, scopes text[], expires_at timestamptz, revoked_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT k.tenant_id, k.api_key_id, k.user_id, k.prefix, k.scopes, k.expires_at, k.revoked_at
        FROM aiaspire.api_keys k WHERE k.hash = p_hash;
    $$;

-- A verified token names its tenant by id or slug; only the id comes back.
CREATE OR REPLACE FUNCTION aiaspire.find_tenant(p_name text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT t.tenant_id FROM aiaspire.tenants t
        WHERE (t.slug = p_name OR t.tenant_id::text = lower(p_name)) AND t.tenant_id <> aiaspire.platform_id();
    $$;

-- Operators administer all tenants; the policy on the table shows a session its own. What is listed is the contract, nothing within it.
CREATE OR REPLACE FUNCTION aiaspire.list_tenants(p_after uuid, p_limit integer)
    RETURNS TABLE (tenant_id uuid, slug text, name text, plan text, status text, tokens_per_day bigint, tokens_per_minute bigint, retention_days integer, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT t.tenant_id, t.slug, t.name, t.plan, t.status, t.tokens_per_day, t.tokens_per_minute, t.retention_days, t.created_at
        FROM aiaspire.tenants t WHERE t.tenant_id > p_after AND t.tenant_id <> aiaspire.platform_id() ORDER BY t.tenant_id LIMIT p_limit;
    $$;

-- Retention looks at all tenants and deletes whole conversations, a bounded number at a time.
CREATE OR REPLACE FUNCTION aiaspire.delete_expired_conversations(p_limit integer) RETURNS TABLE (tenant_id uuid, deleted bigint)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT c.tenant_id, c.user_id, c.conversation_id FROM aiaspire.tenants t
            JOIN aiaspire.conversations c ON c.tenant_id = t.tenant_id AND c.last_message_at < now() - make_interval(days => t.retention_days)
            LIMIT p_limit FOR UPDATE OF c SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.conversations c USING expired e
            WHERE c.tenant_id = e.tenant_id AND c.user_id = e.user_id AND c.conversation_id = e.conversation_id
            RETURNING c.tenant_id
        )
        SELECT g.tenant_id, count(*) FROM gone g GROUP BY g.tenant_id;
    $$;

-- What retention would delete now, without deleting it: counts by tenant.
CREATE OR REPLACE FUNCTION aiaspire.expired_by_retention() 
    RETURNS TABLE (tenant_id uuid, retention_days integer, conversations bigint, jobs bigint, files bigint, batches bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT x.tenant_id, x.retention_days, x.conversations, x.jobs, x.files, x.batches FROM (
            SELECT t.tenant_id, t.retention_days,
                (SELECT count(*) FROM aiaspire.conversations c
                    WHERE c.tenant_id = t.tenant_id AND c.last_message_at < now() - make_interval(days => t.retention_days)) AS conversations,
                (SELECT count(*) FROM aiaspire.job_history h
                    WHERE h.tenant_id = t.tenant_id AND h.job_id < aiaspire.least_id(now() - make_interval(days => t.retention_days))
                      AND h.finished_at < now() - make_interval(days => t.retention_days)) AS jobs,
                (SELECT count(*) FROM aiaspire.files f
                    WHERE f.tenant_id = t.tenant_id AND (f.expires_at <= now() OR f.created_at < now() - make_interval(days => t.retention_days))) AS files,
                (SELECT count(*) FROM aiaspire.batches b
                    WHERE b.tenant_id = t.tenant_id AND b.created_at < now() - make_interval(days => t.retention_days)) AS batches
            FROM aiaspire.tenants t
        ) x WHERE x.conversations > 0 OR x.jobs > 0 OR x.files > 0 OR x.batches > 0 ORDER BY x.tenant_id;
    $$;

-- Answers are kept a day for their repeats; then they are of no use.
CREATE OR REPLACE FUNCTION aiaspire.delete_expired_idempotency_keys(p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT e.tenant_id, e.user_id, e.route, e.key FROM aiaspire.tenants t
            JOIN aiaspire.idempotency_keys e ON e.tenant_id = t.tenant_id AND e.expires_at <= now()
            LIMIT p_limit
        ), gone AS (
            DELETE FROM aiaspire.idempotency_keys e USING expired x
            WHERE e.tenant_id = x.tenant_id AND e.user_id = x.user_id AND e.route = x.route AND e.key = x.key AND e.expires_at <= now()
            RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

-- Workers deliver for all tenants. A claim draws a new lease token, which fences off whoever held the delivery before.
CREATE OR REPLACE FUNCTION aiaspire.claim_notifications(p_limit integer, p_lease interval)
    RETURNS TABLE (tenant_id uuid, delivery_id uuid, notification_id uuid, channel text, target text, tries integer, lease_token uuid,
        topic text, subject text, text text, data text, created_at timestamptz, url text, secret bytea)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH claimed AS (
            UPDATE aiaspire.notification_deliveries d
            SET lease_token = gen_random_uuid(), available_at = now() + p_lease, tries = d.tries + 1
            FROM (
                SELECT due.tenant_id, due.delivery_id FROM aiaspire.notification_deliveries due
                WHERE due.state = 'Pending' AND due.available_at <= now()
                ORDER BY due.available_at LIMIT p_limit FOR UPDATE SKIP LOCKED
            ) picked
            WHERE d.tenant_id = picked.tenant_id AND d.delivery_id = picked.delivery_id
            RETURNING d.tenant_id, d.delivery_id, d.notification_id, d.channel, d.target, d.tries, d.lease_token
        )
        SELECT c.tenant_id, c.delivery_id, c.notification_id, c.channel, c.target, c.tries, c.lease_token,
            n.topic, n.subject, n.text, n.data::text, n.created_at, w.url, w.secret
        FROM claimed c
        JOIN aiaspire.notifications n ON n.tenant_id = c.tenant_id AND n.notification_id = c.notification_id
        LEFT JOIN aiaspire.notification_webhooks w ON c.channel = 'webhook' AND w.tenant_id = c.tenant_id AND w.webhook_id::text = c.target;
    $$;

-- What was told long ago goes, with its deliveries; what is still on its way stays.
CREATE OR REPLACE FUNCTION aiaspire.delete_old_notifications(p_keep_days integer, p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH old AS (
            SELECT n.tenant_id, n.notification_id FROM aiaspire.notifications n
            WHERE n.created_at < now() - make_interval(days => p_keep_days)
              AND NOT EXISTS (SELECT FROM aiaspire.notification_deliveries d
                  WHERE d.tenant_id = n.tenant_id AND d.notification_id = n.notification_id AND d.state = 'Pending')
            LIMIT p_limit
        ), gone AS (
            DELETE FROM aiaspire.notifications n USING old o WHERE n.tenant_id = o.tenant_id AND n.notification_id = o.notification_id RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

-- What a request of this size may cost at most, whatever classes its tokens turn out to be of: ModelPrice.MostCost says the same.
CREATE OR REPLACE FUNCTION aiaspire.most_cost(p aiaspire.model_prices, p_input bigint, p_output bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog
    AS $$
        SELECT (p_input * max(greatest(r.input, r.cached_input, r.cache_write)) + p_output * max(greatest(r.output, r.reasoning))) / 1000000
        FROM (
            SELECT p.input, p.cached_input, p.cache_write, p.output, p.reasoning
            UNION ALL
            SELECT (l ->> 'input')::numeric, (l ->> 'cached_input')::numeric, (l ->> 'cache_write')::numeric, (l ->> 'output')::numeric, (l ->> 'reasoning')::numeric
            FROM jsonb_array_elements(p.long_context) l WHERE (l ->> 'above')::bigint < p_input
        ) r;
    $$;

-- What dead processes left open is closed at the estimate: the input as estimated and all the output that was reserved. A request is
-- taken when the leases of all its attempts have ended: as long as one holds, its process is at work. The request is booked and charged
-- nothing; what it cost is ours. FOR UPDATE and the outcome it tests decide against a settlement at the same moment: one of the two
-- waits, and then finds the row closed; a settlement that comes later overwrites the estimate (Settlement.cs).
CREATE OR REPLACE FUNCTION aiaspire.reconcile_attempts(p_limit integer)
    RETURNS TABLE (tenant_id uuid, request_id uuid, attempt_id uuid, provider text, model text, provider_cost numeric,
        user_pseudonym uuid, feature text, tier text, opened_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH due AS (
            SELECT a.tenant_id, a.attempt_id FROM aiaspire.ledger_attempts a
            WHERE a.outcome = 'Open' AND a.lease_until < now()
              AND NOT EXISTS (SELECT FROM aiaspire.ledger_attempts s
                  WHERE s.tenant_id = a.tenant_id AND s.request_id = a.request_id AND s.outcome = 'Open' AND s.lease_until >= now())
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        ), closed AS (
            UPDATE aiaspire.ledger_attempts a
            SET outcome = 'Abandoned', usage_source = 'Estimate', error_code = 'abandoned', settled_at = now(),
                input_tokens = a.estimated_input_tokens, output_tokens = a.reserved_output_tokens,
                provider_cost = aiaspire.most_cost(p, a.estimated_input_tokens, a.reserved_output_tokens)
            FROM due d, aiaspire.model_prices p
            WHERE a.tenant_id = d.tenant_id AND a.attempt_id = d.attempt_id AND a.outcome = 'Open'
              AND p.tenant_id IN (a.tenant_id, aiaspire.platform_id()) AND p.price_id = a.price_id
            RETURNING a.*
        ), booked AS (
            INSERT INTO aiaspire.ledger_requests AS r (tenant_id, request_id, user_pseudonym, feature, tier, requested_model, outcome, stream, attempts,
                input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, charged_cost,
                cache_hit, saved_cost, started_at, finished_at, latency_ms)
            SELECT c.tenant_id, c.request_id, (array_agg(c.user_pseudonym))[1], min(c.feature), min(c.tier),
                (array_agg(c.model ORDER BY c.number))[1], 'abandoned', false, count(*), 0, 0, 0, 0, 0, sum(c.provider_cost), 0, false, 0,
                min(c.opened_at), now(), extract(epoch FROM now() - min(c.opened_at)) * 1000
            FROM closed c GROUP BY c.tenant_id, c.request_id
            -- A request is abandoned twice when its process went on to another target after the first was given up, and died then.
            ON CONFLICT (tenant_id, request_id) DO UPDATE SET
                attempts = r.attempts + excluded.attempts, provider_cost = r.provider_cost + excluded.provider_cost, finished_at = excluded.finished_at
            WHERE r.outcome = 'abandoned'
        )
        SELECT c.tenant_id, c.request_id, c.attempt_id, c.provider, c.model, c.provider_cost, c.user_pseudonym, c.feature, c.tier, c.opened_at FROM closed c;
    $$;

-- Operators see what is open over all tenants, oldest first, and what it may cost.
CREATE OR REPLACE FUNCTION aiaspire.open_attempts(p_limit integer)
    RETURNS TABLE (tenant_id uuid, attempt_id uuid, request_id uuid, feature text, tier text, provider text, model text, opened_at timestamptz,
        lease_until timestamptz, estimated_cost numeric, all_count bigint, all_cost numeric)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT o.*, count(*) OVER (), sum(o.estimated_cost) OVER () FROM (
            SELECT a.tenant_id, a.attempt_id, a.request_id, a.feature, a.tier, a.provider, a.model, a.opened_at, a.lease_until,
                coalesce((SELECT aiaspire.most_cost(p, a.estimated_input_tokens, a.reserved_output_tokens) FROM aiaspire.model_prices p
                    WHERE p.tenant_id IN (a.tenant_id, aiaspire.platform_id()) AND p.price_id = a.price_id), 0) AS estimated_cost
            FROM aiaspire.ledger_attempts a WHERE a.outcome = 'Open'
        ) o ORDER BY o.opened_at LIMIT p_limit;
    $$;

-- Ids are UUIDv7: times of rows, and the partitions to look in, come from them.
CREATE OR REPLACE FUNCTION aiaspire.least_id(p_time timestamptz) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (lpad(to_hex(floor(extract(epoch FROM p_time) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;
CREATE OR REPLACE FUNCTION aiaspire.id_minute(p_id uuid) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_timestamp((('x' || left(replace(p_id::text, '-', ''), 12))::bit(48)::bigint / 60000) * 60);

-- How the roll-ups stay equal to the ledger. A row counts in the minute of its id. Each run sums anew, and replaces, the minutes from
-- five before where the last run stood up to now; so nothing is counted twice, however often it runs or is killed. What a run cannot
-- see, because its transaction has not committed yet, the next one sees: a settlement takes less than its time-out of ten seconds, and
-- one whose id is older than four minutes when its transaction starts leaves a mark, in the same transaction, for its minute to be
-- summed again. Both times are this server's, so the clocks of other machines do not matter. Marks are only ever inserted and, once
-- seen, deleted: a mark that is not visible yet stays for the next run, and the sums are read after the marks.
CREATE OR REPLACE FUNCTION aiaspire.mark_late_usage() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO aiaspire.usage_late_marks (tenant_id, mark_id, minute)
        VALUES (NEW.tenant_id, gen_random_uuid(), aiaspire.id_minute(CASE TG_ARGV[0] WHEN 'attempt' THEN (to_jsonb(NEW) ->> 'attempt_id')::uuid ELSE NEW.request_id END));
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER late_usage AFTER UPDATE ON aiaspire.ledger_attempts FOR EACH ROW
    WHEN (NEW.attempt_id < aiaspire.least_id(now() - interval '4 minutes')) EXECUTE FUNCTION aiaspire.mark_late_usage('attempt');
CREATE OR REPLACE TRIGGER late_usage AFTER INSERT OR UPDATE ON aiaspire.ledger_requests FOR EACH ROW
    WHEN (NEW.request_id < aiaspire.least_id(now() - interval '4 minutes')) EXECUTE FUNCTION aiaspire.mark_late_usage('request');

-- Sums the minutes [p_from, p_to) of one tenant from the ledger, and the hours they lie in from the minutes.
CREATE OR REPLACE FUNCTION aiaspire.usage_rollup_minutes(p_tenant uuid, p_from timestamptz, p_to timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
DECLARE
    v_hour timestamptz := date_trunc('hour', p_from, 'UTC');
    v_end timestamptz := date_trunc('hour', p_to - interval '1 microsecond', 'UTC') + interval '1 hour';
BEGIN
    WITH fresh AS MATERIALIZED (
            SELECT x.bucket, x.feature, x.model, x.provider, x.tier,
            sum(x.requests)::bigint, sum(x.failed_requests)::bigint, sum(x.aborted_requests)::bigint, sum(x.abandoned_requests)::bigint,
            sum(x.attempts)::bigint, sum(x.rate_limited)::bigint, sum(x.server_errors)::bigint, sum(x.timeouts)::bigint,
            sum(x.refused)::bigint, sum(x.other_errors)::bigint, sum(x.input_tokens)::bigint, sum(x.cached_input_tokens)::bigint,
            sum(x.cache_write_tokens)::bigint, sum(x.output_tokens)::bigint, sum(x.reasoning_tokens)::bigint, sum(x.charged_cost),
            sum(x.provider_cost), sum(x.estimated_cost), sum(x.cache_savings), sum(x.latency_ms),
            ARRAY[count(*) FILTER (WHERE x.class = 0), count(*) FILTER (WHERE x.class = 1), count(*) FILTER (WHERE x.class = 2),
                count(*) FILTER (WHERE x.class = 3), count(*) FILTER (WHERE x.class = 4), count(*) FILTER (WHERE x.class = 5),
                count(*) FILTER (WHERE x.class = 6), count(*) FILTER (WHERE x.class = 7), count(*) FILTER (WHERE x.class = 8),
                count(*) FILTER (WHERE x.class = 9), count(*) FILTER (WHERE x.class = 10)]
            FROM (
                SELECT aiaspire.id_minute(r.request_id) AS bucket, r.feature, coalesce(r.model, '') AS model, coalesce(r.provider, '') AS provider, r.tier,
                    1 AS requests, (r.outcome = 'failed')::integer AS failed_requests, (r.outcome = 'aborted')::integer AS aborted_requests,
                    (r.outcome = 'abandoned')::integer AS abandoned_requests, 0 AS attempts, 0 AS rate_limited, 0 AS server_errors, 0 AS timeouts,
                    0 AS refused, 0 AS other_errors, r.input_tokens, r.cached_input_tokens, r.cache_write_tokens, r.output_tokens, r.reasoning_tokens,
                    r.charged_cost, 0::numeric AS provider_cost, 0::numeric AS estimated_cost, r.saved_cost AS cache_savings,
                    CASE WHEN r.outcome = 'abandoned' THEN 0 ELSE round(r.latency_ms::numeric, 3) END AS latency_ms,
                    -- As Core/Ledger/UsageLatency.cs; a bound belongs to the class beneath it.
                    CASE WHEN r.outcome <> 'abandoned' THEN 10 - width_bucket(-r.latency_ms, ARRAY[-60000, -30000, -10000, -5000, -2500, -1000, -500, -250, -100, -50]::float8[]) END AS class
                FROM aiaspire.ledger_requests r
                WHERE r.tenant_id = p_tenant AND r.request_id >= aiaspire.least_id(p_from) AND r.request_id < aiaspire.least_id(p_to)
                UNION ALL
                SELECT aiaspire.id_minute(a.attempt_id), a.feature, a.model, a.provider, a.tier,
                    0, 0, 0, 0, 1, (coalesce(a.status_code, 0) = 429)::integer, (coalesce(a.status_code, 0) >= 500)::integer,
                    (a.status_code IS NULL AND coalesce(a.error_code, '') LIKE '%timeout%')::integer,
                    (coalesce(a.status_code, 0) BETWEEN 400 AND 499 AND a.status_code <> 429)::integer,
                    (coalesce(a.status_code, 0) < 400 AND a.error_code IS NOT NULL AND NOT (a.status_code IS NULL AND a.error_code LIKE '%timeout%'))::integer,
                    0, 0, 0, 0, 0, 0, a.provider_cost, CASE WHEN a.usage_source IN ('Estimate', 'Disputed') THEN a.provider_cost ELSE 0 END, 0, 0, NULL
                FROM aiaspire.ledger_attempts a
                WHERE a.tenant_id = p_tenant AND a.attempt_id >= aiaspire.least_id(p_from) AND a.attempt_id < aiaspire.least_id(p_to) AND a.outcome <> 'Open'
            ) x GROUP BY x.bucket, x.feature, x.model, x.provider, x.tier
        ), kept AS (
            INSERT INTO aiaspire.usage_rollups AS u (tenant_id, width, bucket, feature, model, provider, tier,
            requests, failed_requests, aborted_requests, abandoned_requests, attempts, rate_limited, server_errors, timeouts, refused,
            other_errors, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, charged_cost,
            provider_cost, estimated_cost, cache_savings, latency_ms, latency_counts)
            SELECT p_tenant, 'minute', f.* FROM fresh f
            ON CONFLICT (tenant_id, width, bucket, feature, model, provider, tier) DO UPDATE SET
                requests = excluded.requests, failed_requests = excluded.failed_requests, aborted_requests = excluded.aborted_requests,
                abandoned_requests = excluded.abandoned_requests, attempts = excluded.attempts, rate_limited = excluded.rate_limited,
                server_errors = excluded.server_errors, timeouts = excluded.timeouts, refused = excluded.refused,
                other_errors = excluded.other_errors, input_tokens = excluded.input_tokens,
                cached_input_tokens = excluded.cached_input_tokens, cache_write_tokens = excluded.cache_write_tokens,
                output_tokens = excluded.output_tokens, reasoning_tokens = excluded.reasoning_tokens, charged_cost = excluded.charged_cost,
                provider_cost = excluded.provider_cost, estimated_cost = excluded.estimated_cost, cache_savings = excluded.cache_savings,
                latency_ms = excluded.latency_ms, latency_counts = excluded.latency_counts
            -- Most of what is summed again has not changed, and is not written again.
            WHERE (u.requests, u.failed_requests, u.aborted_requests, u.abandoned_requests, u.attempts, u.rate_limited, u.server_errors,
                u.timeouts, u.refused, u.other_errors, u.input_tokens, u.cached_input_tokens, u.cache_write_tokens, u.output_tokens,
                u.reasoning_tokens, u.charged_cost, u.provider_cost, u.estimated_cost, u.cache_savings, u.latency_ms, u.latency_counts)
                IS DISTINCT FROM (excluded.requests, excluded.failed_requests, excluded.aborted_requests, excluded.abandoned_requests, excluded.attempts,
                excluded.rate_limited, excluded.server_errors, excluded.timeouts, excluded.refused, excluded.other_errors,
                excluded.input_tokens, excluded.cached_input_tokens, excluded.cache_write_tokens, excluded.output_tokens,
                excluded.reasoning_tokens, excluded.charged_cost, excluded.provider_cost, excluded.estimated_cost, excluded.cache_savings,
                excluded.latency_ms, excluded.latency_counts)
        )
    -- A correction may move the last row out of a group.
    DELETE FROM aiaspire.usage_rollups u
    WHERE u.tenant_id = p_tenant AND u.width = 'minute' AND u.bucket >= p_from AND u.bucket < p_to AND NOT EXISTS (
        SELECT FROM fresh f WHERE f.bucket = u.bucket AND f.feature = u.feature AND f.model = u.model AND f.provider = u.provider AND f.tier = u.tier);

    WITH fresh AS MATERIALIZED (
            SELECT date_trunc('hour', m.bucket, 'UTC') AS bucket, m.feature, m.model, m.provider, m.tier,
            sum(m.requests)::bigint, sum(m.failed_requests)::bigint, sum(m.aborted_requests)::bigint, sum(m.abandoned_requests)::bigint,
            sum(m.attempts)::bigint, sum(m.rate_limited)::bigint, sum(m.server_errors)::bigint, sum(m.timeouts)::bigint,
            sum(m.refused)::bigint, sum(m.other_errors)::bigint, sum(m.input_tokens)::bigint, sum(m.cached_input_tokens)::bigint,
            sum(m.cache_write_tokens)::bigint, sum(m.output_tokens)::bigint, sum(m.reasoning_tokens)::bigint, sum(m.charged_cost),
            sum(m.provider_cost), sum(m.estimated_cost), sum(m.cache_savings), sum(m.latency_ms),
            ARRAY[sum(m.latency_counts[1])::bigint, sum(m.latency_counts[2])::bigint, sum(m.latency_counts[3])::bigint, sum(m.latency_counts[4])::bigint, sum(m.latency_counts[5])::bigint, sum(m.latency_counts[6])::bigint, sum(m.latency_counts[7])::bigint, sum(m.latency_counts[8])::bigint, sum(m.latency_counts[9])::bigint, sum(m.latency_counts[10])::bigint, sum(m.latency_counts[11])::bigint]
            FROM aiaspire.usage_rollups m
            WHERE m.tenant_id = p_tenant AND m.width = 'minute' AND m.bucket >= v_hour AND m.bucket < v_end
            GROUP BY 1, m.feature, m.model, m.provider, m.tier
        ), kept AS (
            INSERT INTO aiaspire.usage_rollups AS u (tenant_id, width, bucket, feature, model, provider, tier,
            requests, failed_requests, aborted_requests, abandoned_requests, attempts, rate_limited, server_errors, timeouts, refused,
            other_errors, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, charged_cost,
            provider_cost, estimated_cost, cache_savings, latency_ms, latency_counts)
            SELECT p_tenant, 'hour', f.* FROM fresh f
            ON CONFLICT (tenant_id, width, bucket, feature, model, provider, tier) DO UPDATE SET
                requests = excluded.requests, failed_requests = excluded.failed_requests, aborted_requests = excluded.aborted_requests,
                abandoned_requests = excluded.abandoned_requests, attempts = excluded.attempts, rate_limited = excluded.rate_limited,
                server_errors = excluded.server_errors, timeouts = excluded.timeouts, refused = excluded.refused,
                other_errors = excluded.other_errors, input_tokens = excluded.input_tokens,
                cached_input_tokens = excluded.cached_input_tokens, cache_write_tokens = excluded.cache_write_tokens,
                output_tokens = excluded.output_tokens, reasoning_tokens = excluded.reasoning_tokens, charged_cost = excluded.charged_cost,
                provider_cost = excluded.provider_cost, estimated_cost = excluded.estimated_cost, cache_savings = excluded.cache_savings,
                latency_ms = excluded.latency_ms, latency_counts = excluded.latency_counts
            -- Most of what is summed again has not changed, and is not written again.
            WHERE (u.requests, u.failed_requests, u.aborted_requests, u.abandoned_requests, u.attempts, u.rate_limited, u.server_errors,
                u.timeouts, u.refused, u.other_errors, u.input_tokens, u.cached_input_tokens, u.cache_write_tokens, u.output_tokens,
                u.reasoning_tokens, u.charged_cost, u.provider_cost, u.estimated_cost, u.cache_savings, u.latency_ms, u.latency_counts)
                IS DISTINCT FROM (excluded.requests, excluded.failed_requests, excluded.aborted_requests, excluded.abandoned_requests, excluded.attempts,
                excluded.rate_limited, excluded.server_errors, excluded.timeouts, excluded.refused, excluded.other_errors,
                excluded.input_tokens, excluded.cached_input_tokens, excluded.cache_write_tokens, excluded.output_tokens,
                excluded.reasoning_tokens, excluded.charged_cost, excluded.provider_cost, excluded.estimated_cost, excluded.cache_savings,
                excluded.latency_ms, excluded.latency_counts)
        )
    DELETE FROM aiaspire.usage_rollups u
    WHERE u.tenant_id = p_tenant AND u.width = 'hour' AND u.bucket >= v_hour AND u.bucket < v_end AND NOT EXISTS (
        SELECT FROM fresh f WHERE f.bucket = u.bucket AND f.feature = u.feature AND f.model = u.model AND f.provider = u.provider AND f.tier = u.tier);
END
$$;

-- One step: at most an hour of the ledger and 200 marks. Whether there is more comes back; no row: another run is at it. Minutes are kept
-- for 35 days, hours for good; an hour is summed again only while its minutes are there.
CREATE OR REPLACE FUNCTION aiaspire.roll_up_usage() RETURNS TABLE (behind boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    v_last timestamptz;
    v_through timestamptz;
    v_row record;
    v_marks integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1430340940) THEN
        RETURN;
    END IF;
    SELECT p.through INTO v_last FROM aiaspire.usage_progress p WHERE p.name = 'usage';
    v_last := coalesce(v_last, now() - interval '1 day');
    v_through := least(now(), v_last + interval '1 hour');
    FOR v_row IN
        WITH seen AS (
            DELETE FROM aiaspire.usage_late_marks m USING (SELECT l.tenant_id, l.mark_id FROM aiaspire.usage_late_marks l LIMIT 200) picked
            WHERE m.tenant_id = picked.tenant_id AND m.mark_id = picked.mark_id RETURNING m.tenant_id, m.minute
        )
        SELECT s.tenant_id, s.minute, count(*) AS marks FROM seen s GROUP BY s.tenant_id, s.minute
    LOOP
        v_marks := v_marks + v_row.marks;
        IF v_row.minute >= now() - interval '34 days' THEN
            PERFORM aiaspire.usage_rollup_minutes(v_row.tenant_id, v_row.minute, v_row.minute + interval '1 minute');
        END IF;
    END LOOP;
    FOR v_row IN SELECT t.tenant_id FROM aiaspire.tenants t LOOP
        PERFORM aiaspire.usage_rollup_minutes(
            v_row.tenant_id, date_trunc('minute', v_last - interval '5 minutes'), date_trunc('minute', v_through) + interval '1 minute');
        DELETE FROM aiaspire.usage_rollups u WHERE u.tenant_id = v_row.tenant_id AND u.width = 'minute' AND u.bucket < now() - interval '35 days';
    END LOOP;
    INSERT INTO aiaspire.usage_progress AS p (name, through) VALUES ('usage', v_through) ON CONFLICT (name) DO UPDATE SET through = excluded.through;
    RETURN QUERY SELECT v_through < now() OR v_marks = 200;
END
$$;

-- Usage by bucket (1m, 1h, 1d) and by what p_group names; what is not named is null. Of the tenants that the caller may see.
CREATE OR REPLACE FUNCTION aiaspire.usage_sums(p_width text, p_from timestamptz, p_to timestamptz, p_group text[])
    RETURNS TABLE (bucket timestamptz, tenant_id uuid, feature text, model text, provider text, tier text,
        requests bigint, failed_requests bigint, aborted_requests bigint, abandoned_requests bigint, attempts bigint, rate_limited bigint,
        server_errors bigint, timeouts bigint, refused bigint, other_errors bigint, input_tokens bigint, cached_input_tokens bigint,
        cache_write_tokens bigint, output_tokens bigint, reasoning_tokens bigint, charged_cost numeric, provider_cost numeric,
        estimated_cost numeric, cache_savings numeric, latency_ms numeric, latency_counts bigint[])
    LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog
    AS $$
        SELECT CASE p_width WHEN '1d' THEN date_trunc('day', u.bucket, 'UTC') ELSE u.bucket END,
            CASE WHEN 'tenant' = ANY (p_group) THEN u.tenant_id END, CASE WHEN 'feature' = ANY (p_group) THEN u.feature END,
            CASE WHEN 'model' = ANY (p_group) THEN u.model END, CASE WHEN 'provider' = ANY (p_group) THEN u.provider END,
            CASE WHEN 'tier' = ANY (p_group) THEN u.tier END,
            sum(u.requests)::bigint, sum(u.failed_requests)::bigint, sum(u.aborted_requests)::bigint, sum(u.abandoned_requests)::bigint,
            sum(u.attempts)::bigint, sum(u.rate_limited)::bigint, sum(u.server_errors)::bigint, sum(u.timeouts)::bigint,
            sum(u.refused)::bigint, sum(u.other_errors)::bigint, sum(u.input_tokens)::bigint, sum(u.cached_input_tokens)::bigint,
            sum(u.cache_write_tokens)::bigint, sum(u.output_tokens)::bigint, sum(u.reasoning_tokens)::bigint, sum(u.charged_cost),
            sum(u.provider_cost), sum(u.estimated_cost), sum(u.cache_savings), sum(u.latency_ms),
            ARRAY[sum(u.latency_counts[1])::bigint, sum(u.latency_counts[2])::bigint, sum(u.latency_counts[3])::bigint, sum(u.latency_counts[4])::bigint, sum(u.latency_counts[5])::bigint, sum(u.latency_counts[6])::bigint, sum(u.latency_counts[7])::bigint, sum(u.latency_counts[8])::bigint, sum(u.latency_counts[9])::bigint, sum(u.latency_counts[10])::bigint, sum(u.latency_counts[11])::bigint]
        FROM aiaspire.tenants t JOIN aiaspire.usage_rollups u ON u.tenant_id = t.tenant_id
        WHERE u.width = CASE p_width WHEN '1m' THEN 'minute' ELSE 'hour' END AND u.bucket >= p_from AND u.bucket < p_to
        GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6;
    $$;

-- The same for operators, over all tenants.
CREATE OR REPLACE FUNCTION aiaspire.usage_sums_of_all(p_width text, p_from timestamptz, p_to timestamptz, p_group text[])
    RETURNS TABLE (bucket timestamptz, tenant_id uuid, feature text, model text, provider text, tier text,
        requests bigint, failed_requests bigint, aborted_requests bigint, abandoned_requests bigint, attempts bigint, rate_limited bigint,
        server_errors bigint, timeouts bigint, refused bigint, other_errors bigint, input_tokens bigint, cached_input_tokens bigint,
        cache_write_tokens bigint, output_tokens bigint, reasoning_tokens bigint, charged_cost numeric, provider_cost numeric,
        estimated_cost numeric, cache_savings numeric, latency_ms numeric, latency_counts bigint[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT * FROM aiaspire.usage_sums(p_width, p_from, p_to, p_group) $$;

-- Who cost most, by pseudonym, straight from the ledger of the tenants that the caller may see. The caller bounds the time.
CREATE OR REPLACE FUNCTION aiaspire.top_users(p_from timestamptz, p_to timestamptz, p_limit integer)
    RETURNS TABLE (tenant_id uuid, user_pseudonym uuid, requests bigint, tokens bigint, charged_cost numeric, provider_cost numeric, last_at timestamptz)
    LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog
    AS $$
        SELECT t.tenant_id, r.user_pseudonym, count(*), sum(r.input_tokens + r.cached_input_tokens + r.cache_write_tokens + r.output_tokens)::bigint,
            sum(r.charged_cost), sum(r.provider_cost), max(r.finished_at)
        FROM aiaspire.tenants t JOIN aiaspire.ledger_requests r ON r.tenant_id = t.tenant_id
        WHERE r.request_id >= aiaspire.least_id(p_from) AND r.request_id < aiaspire.least_id(p_to)
        GROUP BY t.tenant_id, r.user_pseudonym ORDER BY sum(r.provider_cost) DESC, r.user_pseudonym LIMIT p_limit;
    $$;
CREATE OR REPLACE FUNCTION aiaspire.top_users_of_all(p_from timestamptz, p_to timestamptz, p_limit integer)
    RETURNS TABLE (tenant_id uuid, user_pseudonym uuid, requests bigint, tokens bigint, charged_cost numeric, provider_cost numeric, last_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT * FROM aiaspire.top_users(p_from, p_to, p_limit) $$;

-- One field of an audit entry as it is hashed: its length, then its bytes; length -1 for null. The same in C#: Core/Audit/AuditEncoding.cs.
CREATE OR REPLACE FUNCTION aiaspire.audit_field(p_value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog
    AS $$ SELECT CASE WHEN p_value IS NULL THEN int4send(-1) ELSE int4send(length(p_value)) || p_value END $$;

-- The only way to write an audit entry, and only into the chain of the session's tenant. The head's row lock is held until the
-- transaction ends, so two appends come one after the other and the second sees the first. Appending an entry again does nothing.
CREATE OR REPLACE FUNCTION aiaspire.append_audit(
    p_entry uuid, p_actor_kind text, p_actor text, p_action text, p_target_kind text, p_target text, p_request uuid, p_details jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    v_tenant uuid := aiaspire.tenant_id();
    v_sequence bigint;
    v_prev bytea;
    v_at timestamptz;
    v_hash bytea;
BEGIN
    IF v_tenant IS NULL THEN
        RAISE EXCEPTION 'an audit entry needs the tenant of a session' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO aiaspire.audit_heads (tenant_id, sequence, hash, at, signed_sequence)
        VALUES (v_tenant, 0, decode(repeat('00', 32), 'hex'), now(), 0) ON CONFLICT DO NOTHING;
    SELECT h.sequence + 1, h.hash INTO v_sequence, v_prev FROM aiaspire.audit_heads h WHERE h.tenant_id = v_tenant FOR UPDATE;
    IF EXISTS (SELECT FROM aiaspire.audit_entries e WHERE e.tenant_id = v_tenant AND e.entry_id = p_entry) THEN
        RETURN;
    END IF;
    -- Read under the lock, so that times rise with the sequence.
    v_at := clock_timestamp();
    v_hash := sha256('\x01'::bytea
        || aiaspire.audit_field(uuid_send(v_tenant))
        || aiaspire.audit_field(int8send(v_sequence))
        || aiaspire.audit_field(uuid_send(p_entry))
        || aiaspire.audit_field(int8send((extract(epoch FROM v_at) * 1000000)::bigint))
        || aiaspire.audit_field(convert_to(p_actor_kind, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_actor, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_action, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_target_kind, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_target, 'UTF8'))
        || aiaspire.audit_field(uuid_send(p_request))
        || aiaspire.audit_field(convert_to(p_details::text, 'UTF8'))
        || aiaspire.audit_field(v_prev));
    INSERT INTO aiaspire.audit_entries
        (tenant_id, sequence, entry_id, at, actor_kind, actor_id, action, target_kind, target_id, request_id, details, prev_hash, hash)
        VALUES (v_tenant, v_sequence, p_entry, v_at, p_actor_kind, p_actor, p_action, p_target_kind, p_target, p_request, p_details, v_prev, v_hash);
    UPDATE aiaspire.audit_heads SET sequence = v_sequence, hash = v_hash, at = v_at WHERE tenant_id = v_tenant;
    IF v_sequence % 64 = 0 THEN
        PERFORM pg_notify('aiaspire_changes', 'audit_heads'); -- many at once: have the head signed now
    END IF;
END
$$;

-- Heads are signed by a service that serves all tenants; a head says how many entries there are and nothing of what they tell.
CREATE OR REPLACE FUNCTION aiaspire.audit_heads_since(p_since timestamptz) RETURNS TABLE (tenant_id uuid, sequence bigint, hash bytea, signed_sequence bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT h.tenant_id, h.sequence, h.hash, h.signed_sequence FROM aiaspire.audit_heads h WHERE h.at >= p_since AND h.sequence > 0;
    $$;

-- Up to where the session's chain has a head signed outside the database. It only rises: a heads file that is gone shows by it.
CREATE OR REPLACE FUNCTION aiaspire.note_signed_head(p_sequence bigint) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        UPDATE aiaspire.audit_heads h SET signed_sequence = p_sequence
        WHERE h.tenant_id = aiaspire.tenant_id() AND h.signed_sequence < p_sequence AND p_sequence <= h.sequence;
    $$;

ALTER FUNCTION aiaspire.claim_notifications(integer, interval) OWNER TO aiaspire_functions;
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
ALTER FUNCTION aiaspire.claim_jobs(text, text[], integer, interval, integer, uuid, timestamptz, uuid[], smallint[], timestamptz[]) OWNER TO aiaspire_functions;
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
ALTER FUNCTION aiaspire.expired_by_retention() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.tell_finished_jobs() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_idempotency_keys(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.list_budgets() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.limit_use(timestamptz, timestamptz) OWNER TO aiaspire_functions;
REVOKE CREATE ON SCHEMA aiaspire FROM aiaspire_functions;
GRANT EXECUTE ON FUNCTION aiaspire.claim_notifications(integer, interval), aiaspire.delete_old_notifications(integer, integer) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.reconcile_attempts(integer), aiaspire.open_attempts(integer), aiaspire.roll_up_usage(),
    aiaspire.usage_sums_of_all(text, timestamptz, timestamptz, text[]), aiaspire.top_users_of_all(timestamptz, timestamptz, integer) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.usage_sums(text, timestamptz, timestamptz, text[]), aiaspire.top_users(timestamptz, timestamptz, integer)
    TO aiaspire_app, aiaspire_functions;
GRANT EXECUTE ON FUNCTION aiaspire.usage_rollup_minutes(uuid, timestamptz, timestamptz), aiaspire.id_minute(uuid),
    aiaspire.most_cost(aiaspire.model_prices, bigint, bigint) TO aiaspire_functions;
-- In the conditions of triggers, with the rights of whoever settles.
GRANT EXECUTE ON FUNCTION aiaspire.least_id(timestamptz) TO aiaspire_app, aiaspire_functions, aiaspire_ledger;
GRANT EXECUTE ON FUNCTION aiaspire.find_api_key(bytea), aiaspire.find_tenant(text),
    aiaspire.delete_expired_conversations(integer), aiaspire.append_audit(uuid, text, text, text, text, text, uuid, jsonb),
    aiaspire.audit_heads_since(timestamptz), aiaspire.note_signed_head(bigint), aiaspire.list_tenants(uuid, integer), aiaspire.delete_expired_idempotency_keys(integer),
    aiaspire.list_budgets(), aiaspire.limit_use(timestamptz, timestamptz) TO aiaspire_app;
-- The queue (jobs.sql): claims, heartbeats and completions of workers, which serve all tenants; retention; and what administrators see of their tenant's.
GRANT EXECUTE ON FUNCTION
    aiaspire.claim_jobs(text, text[], integer, interval, integer, uuid, timestamptz, uuid[], smallint[], timestamptz[]),
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
GRANT EXECUTE ON FUNCTION aiaspire.expired_by_retention() TO aiaspire_app;
-- With the owner's rights (partitions.sql says why).
GRANT EXECUTE ON FUNCTION aiaspire.ensure_partitions() TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.audit_field(bytea) TO aiaspire_functions;

-- ── Functions with the rights of their caller ────────────────────────────────────────────────────────────────────────────────────

-- The queue's own functions stand in jobs.sql: those that a user's session calls run with its rights.
GRANT EXECUTE ON FUNCTION aiaspire.finish_job(uuid, uuid, uuid, uuid, text, bytea, text, text, numeric),
    aiaspire.hold_job(uuid, uuid, uuid, uuid), aiaspire.keep_part(uuid, uuid, uuid, uuid, uuid, integer, uuid, boolean, numeric, bytea),
    aiaspire.release_job(uuid, uuid, uuid, uuid, interval, integer, integer, text), aiaspire.cancel_job(uuid, uuid, uuid),
    aiaspire.seal_file(uuid, uuid, uuid, bigint, interval, bigint) TO aiaspire_app;

-- Stores an answer with its effect. A key that was taken over meanwhile (its lease ended) undoes both.
CREATE OR REPLACE FUNCTION aiaspire.complete_idempotency_key(
    p_tenant uuid, p_user uuid, p_route text, p_key text, p_request uuid, p_response bytea) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE aiaspire.idempotency_keys SET response = p_response
    WHERE tenant_id = p_tenant AND user_id = p_user AND route = p_route AND key = p_key AND request_id = p_request
      -- Also when the commit's answer was lost and the transaction comes again.
      AND (response IS NULL OR response = p_response);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the idempotency key of request % was taken over', p_request USING ERRCODE = 'AI002';
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION aiaspire.complete_idempotency_key(uuid, uuid, text, text, uuid, bytea) TO aiaspire_app;

-- Quartz keeps its schedules here; they belong to no tenant.
GRANT USAGE ON SCHEMA quartz TO aiaspire_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA quartz TO aiaspire_app;

-- PostgreSQL lets everyone call a new function; those above were made after the REVOKE at the top.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA aiaspire FROM PUBLIC;
