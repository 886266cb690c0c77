-- The ledger's own functions: what dead processes left open, what the limits count anew, who cost most. Run before security.sql, which says
-- who may call what and as whom.

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
        user_pseudonym uuid, feature text, tier text, opened_at timestamptz, closed_at timestamptz)
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
        SELECT c.tenant_id, c.request_id, c.attempt_id, c.provider, c.model, c.provider_cost, c.user_pseudonym, c.feature, c.tier, c.opened_at, now() FROM closed c;
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
            AND r.started_at >= p_since AND r.finished_at < p_until
        GROUP BY 1, 2, 3, 4, 5;
    $$;

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
