-- Who may see what. The one place for policies, grants and SECURITY DEFINER functions; applied anew after every migration, in one
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
CREATE POLICY own_insert ON aiaspire.model_prices FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT ON aiaspire.model_prices TO aiaspire_app; -- no UPDATE: a price is never changed

CREATE POLICY own_or_platform ON aiaspire.kill_switches FOR SELECT TO aiaspire_app
    USING (tenant_id IN ((SELECT aiaspire.tenant_id()), aiaspire.platform_id()));
CREATE POLICY own_insert ON aiaspire.kill_switches FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_update ON aiaspire.kill_switches FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id())) WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT, UPDATE ON aiaspire.kill_switches TO aiaspire_app;

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
    FOREACH table_name IN ARRAY ARRAY['conversations', 'messages', 'feedback', 'jobs', 'idempotency_keys'] LOOP
        EXECUTE format(
            'CREATE POLICY own_rows ON aiaspire.%I TO aiaspire_app
                USING (tenant_id = (SELECT aiaspire.tenant_id()) AND user_id = (SELECT aiaspire.user_id()))
                WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()) AND user_id = (SELECT aiaspire.user_id()))', table_name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON aiaspire.%I TO aiaspire_app', table_name);
    END LOOP;
END
$$;

-- ledger: attempts of all tenants are opened, and the calls of all that end at the same moment are settled in one commit, by the ledger
-- role. It writes and cannot read: of what it wrote it sees no more than the keys that its statements match on. Nothing is ever
-- deleted. Ledger rows carry a pseudonym, so the tenant is the boundary there.
CREATE POLICY open_any ON aiaspire.ledger_attempts FOR INSERT TO aiaspire_ledger WITH CHECK (outcome = 'Open');
CREATE POLICY find_any ON aiaspire.ledger_attempts FOR SELECT TO aiaspire_ledger USING (true);
CREATE POLICY close_any ON aiaspire.ledger_attempts FOR UPDATE TO aiaspire_ledger USING (outcome = 'Open') WITH CHECK (true);
GRANT INSERT, SELECT (tenant_id, attempt_id, outcome), UPDATE (outcome, status_code, error_code, usage_source, input_tokens, cached_input_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, provider_cost, provider_request_id, settled_at, latency_ms, first_token_ms)
    ON aiaspire.ledger_attempts TO aiaspire_ledger;
CREATE POLICY book_any ON aiaspire.ledger_requests FOR INSERT TO aiaspire_ledger WITH CHECK (true);
GRANT INSERT ON aiaspire.ledger_requests TO aiaspire_ledger;
CREATE POLICY touch_any ON aiaspire.conversations TO aiaspire_ledger USING (true) WITH CHECK (true);
GRANT INSERT, SELECT (tenant_id, user_id, conversation_id, last_message_at), UPDATE (last_message_at) ON aiaspire.conversations TO aiaspire_ledger;
CREATE POLICY add_any ON aiaspire.messages FOR INSERT TO aiaspire_ledger WITH CHECK (true);
GRANT INSERT ON aiaspire.messages TO aiaspire_ledger;
CREATE POLICY own_read ON aiaspire.ledger_attempts FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_close ON aiaspire.ledger_attempts FOR UPDATE TO aiaspire_app
    USING (tenant_id = (SELECT aiaspire.tenant_id()) AND outcome = 'Open') WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT ON aiaspire.ledger_attempts TO aiaspire_app;
GRANT UPDATE (outcome, status_code, error_code, usage_source, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
    reasoning_tokens, provider_cost, provider_request_id, settled_at, latency_ms, first_token_ms) ON aiaspire.ledger_attempts TO aiaspire_app;
CREATE POLICY own_read ON aiaspire.ledger_requests FOR SELECT TO aiaspire_app USING (tenant_id = (SELECT aiaspire.tenant_id()));
CREATE POLICY own_insert ON aiaspire.ledger_requests FOR INSERT TO aiaspire_app WITH CHECK (tenant_id = (SELECT aiaspire.tenant_id()));
GRANT SELECT, INSERT ON aiaspire.ledger_requests TO aiaspire_app;

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

-- ── Cross-tenant functions ───────────────────────────────────────────────────────────────────────────────────────────────────────
-- They run as aiaspire_functions, which sees just the tables and columns granted to it here. Each has a fixed search_path.
GRANT CREATE ON SCHEMA aiaspire TO aiaspire_functions; -- asked for by ALTER FUNCTION … OWNER TO; taken back below
CREATE POLICY functions_read ON aiaspire.api_keys FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_read ON aiaspire.tenants FOR SELECT TO aiaspire_functions USING (true);
CREATE POLICY functions_all ON aiaspire.jobs TO aiaspire_functions USING (true) WITH CHECK (true);
CREATE POLICY functions_retention ON aiaspire.conversations TO aiaspire_functions USING (true);
CREATE POLICY functions_retention ON aiaspire.messages TO aiaspire_functions USING (true);
CREATE POLICY functions_expiry ON aiaspire.idempotency_keys TO aiaspire_functions USING (true);
GRANT SELECT (tenant_id, user_id, route, key, expires_at), DELETE ON aiaspire.idempotency_keys TO aiaspire_functions;
GRANT SELECT ON aiaspire.api_keys, aiaspire.tenants TO aiaspire_functions;
GRANT SELECT, UPDATE ON aiaspire.jobs TO aiaspire_functions;
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
GRANT SELECT, DELETE ON aiaspire.notifications TO aiaspire_functions;
GRANT SELECT ON aiaspire.notification_webhooks TO aiaspire_functions;
GRANT SELECT, UPDATE (tries, available_at, lease_token) ON aiaspire.notification_deliveries TO aiaspire_functions;

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

-- Workers serve all tenants. A claim draws a new lease token, which fences off whoever held the job before.
CREATE OR REPLACE FUNCTION aiaspire.claim_jobs(p_worker text, p_limit integer, p_lease interval)
    RETURNS TABLE (tenant_id uuid, job_id uuid, user_id uuid, kind text, payload bytea, tries integer, max_tries integer, lease_token uuid, trace_parent text)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        UPDATE aiaspire.jobs j
        SET state = 'Running', worker = p_worker, lease_token = gen_random_uuid(), available_at = now() + p_lease,
            tries = j.tries + 1, started_at = coalesce(j.started_at, now()), error_code = NULL
        FROM (
            SELECT due.tenant_id, due.job_id FROM aiaspire.jobs due
            WHERE due.state IN ('Queued', 'Running') AND due.available_at <= now()
            ORDER BY due.priority, due.available_at
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        ) picked
        WHERE j.tenant_id = picked.tenant_id AND j.job_id = picked.job_id
        RETURNING j.tenant_id, j.job_id, j.user_id, j.kind, j.payload, j.tries, j.max_tries, j.lease_token, j.trace_parent;
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
    INSERT INTO aiaspire.audit_heads (tenant_id, sequence, hash, at)
        VALUES (v_tenant, 0, decode(repeat('00', 32), 'hex'), now()) ON CONFLICT DO NOTHING;
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
CREATE OR REPLACE FUNCTION aiaspire.audit_heads_since(p_since timestamptz) RETURNS TABLE (tenant_id uuid, sequence bigint, hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT h.tenant_id, h.sequence, h.hash FROM aiaspire.audit_heads h WHERE h.at >= p_since AND h.sequence > 0;
    $$;

ALTER FUNCTION aiaspire.claim_notifications(integer, interval) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_old_notifications(integer, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.append_audit(uuid, text, text, text, text, text, uuid, jsonb) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.audit_heads_since(timestamptz) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.find_api_key(bytea) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.find_tenant(text) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.list_tenants(uuid, integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.claim_jobs(text, integer, interval) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_conversations(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.delete_expired_idempotency_keys(integer) OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.list_budgets() OWNER TO aiaspire_functions;
ALTER FUNCTION aiaspire.limit_use(timestamptz, timestamptz) OWNER TO aiaspire_functions;
REVOKE CREATE ON SCHEMA aiaspire FROM aiaspire_functions;
GRANT EXECUTE ON FUNCTION aiaspire.claim_notifications(integer, interval), aiaspire.delete_old_notifications(integer, integer) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.find_api_key(bytea), aiaspire.find_tenant(text), aiaspire.claim_jobs(text, integer, interval),
    aiaspire.delete_expired_conversations(integer), aiaspire.append_audit(uuid, text, text, text, text, text, uuid, jsonb),
    aiaspire.audit_heads_since(timestamptz), aiaspire.list_tenants(uuid, integer), aiaspire.delete_expired_idempotency_keys(integer),
    aiaspire.list_budgets(), aiaspire.limit_use(timestamptz, timestamptz) TO aiaspire_app;
GRANT EXECUTE ON FUNCTION aiaspire.audit_field(bytea) TO aiaspire_functions;

-- ── Functions with the rights of their caller ────────────────────────────────────────────────────────────────────────────────────

-- The fence: raised inside a settling transaction, it undoes result, messages and charge together.
CREATE OR REPLACE FUNCTION aiaspire.finish_job(
    p_tenant uuid, p_job uuid, p_lease uuid, p_state text, p_result bytea, p_error_code text, p_error_message text) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE aiaspire.jobs SET state = p_state, result = p_result, error_code = p_error_code, error_message = p_error_message,
        finished_at = now(), lease_token = NULL, worker = NULL
    WHERE tenant_id = p_tenant AND job_id = p_job AND lease_token = p_lease AND state = 'Running';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of job % is lost', p_job USING ERRCODE = 'AI001';
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION aiaspire.finish_job(uuid, uuid, uuid, text, bytea, text, text) TO aiaspire_app;

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
