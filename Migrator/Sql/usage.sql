-- The roll-ups of the ledger by minute and hour, and what is read from them. Run before security.sql, which says who may call what and as
-- whom.

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

-- Sums [p_from, p_to) of one tenant: its minutes from the ledger, or its hours from the minutes.
CREATE OR REPLACE FUNCTION aiaspire.keep_usage(p_tenant uuid, p_width text, p_from timestamptz, p_to timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog
    -- One plan for both widths, made once: it reads nothing of the source that the width does not name, and always goes by the key.
    SET plan_cache_mode = force_generic_plan
    AS $$
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
            WHERE p_width = 'minute' AND r.tenant_id = p_tenant AND r.request_id >= aiaspire.least_id(p_from) AND r.request_id < aiaspire.least_id(p_to)
            UNION ALL
            SELECT aiaspire.id_minute(a.attempt_id), a.feature, a.model, a.provider, a.tier,
                0, 0, 0, 0, 1, (coalesce(a.status_code, 0) = 429)::integer, (coalesce(a.status_code, 0) >= 500)::integer,
                (a.status_code IS NULL AND coalesce(a.error_code, '') LIKE '%timeout%')::integer,
                (coalesce(a.status_code, 0) BETWEEN 400 AND 499 AND a.status_code <> 429)::integer,
                (coalesce(a.status_code, 0) < 400 AND a.error_code IS NOT NULL AND NOT (a.status_code IS NULL AND a.error_code LIKE '%timeout%'))::integer,
                0, 0, 0, 0, 0, 0, a.provider_cost, CASE WHEN a.usage_source IN ('Estimate', 'Disputed') THEN a.provider_cost ELSE 0 END, 0, 0, NULL
            FROM aiaspire.ledger_attempts a
            WHERE p_width = 'minute' AND a.tenant_id = p_tenant AND a.attempt_id >= aiaspire.least_id(p_from) AND a.attempt_id < aiaspire.least_id(p_to) AND a.outcome <> 'Open'
        ) x GROUP BY x.bucket, x.feature, x.model, x.provider, x.tier
        UNION ALL
        SELECT date_trunc('hour', m.bucket, 'UTC') AS bucket, m.feature, m.model, m.provider, m.tier,
            sum(m.requests)::bigint, sum(m.failed_requests)::bigint, sum(m.aborted_requests)::bigint, sum(m.abandoned_requests)::bigint,
            sum(m.attempts)::bigint, sum(m.rate_limited)::bigint, sum(m.server_errors)::bigint, sum(m.timeouts)::bigint,
            sum(m.refused)::bigint, sum(m.other_errors)::bigint, sum(m.input_tokens)::bigint, sum(m.cached_input_tokens)::bigint,
            sum(m.cache_write_tokens)::bigint, sum(m.output_tokens)::bigint, sum(m.reasoning_tokens)::bigint, sum(m.charged_cost),
            sum(m.provider_cost), sum(m.estimated_cost), sum(m.cache_savings), sum(m.latency_ms),
            ARRAY[sum(m.latency_counts[1])::bigint, sum(m.latency_counts[2])::bigint, sum(m.latency_counts[3])::bigint, sum(m.latency_counts[4])::bigint, sum(m.latency_counts[5])::bigint, sum(m.latency_counts[6])::bigint, sum(m.latency_counts[7])::bigint, sum(m.latency_counts[8])::bigint, sum(m.latency_counts[9])::bigint, sum(m.latency_counts[10])::bigint, sum(m.latency_counts[11])::bigint]
        FROM aiaspire.usage_rollups m
        WHERE p_width = 'hour' AND m.tenant_id = p_tenant AND m.width = 'minute' AND m.bucket >= p_from AND m.bucket < p_to
        GROUP BY 1, m.feature, m.model, m.provider, m.tier
    ), kept AS (
        INSERT INTO aiaspire.usage_rollups AS u (tenant_id, width, bucket, feature, model, provider, tier,
            requests, failed_requests, aborted_requests, abandoned_requests, attempts, rate_limited, server_errors, timeouts, refused,
            other_errors, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, charged_cost,
            provider_cost, estimated_cost, cache_savings, latency_ms, latency_counts)
        SELECT p_tenant, p_width, f.* FROM fresh f
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
        WHERE ROW(u.*) IS DISTINCT FROM ROW(excluded.*)
    )
    -- A correction may move the last row out of a group.
    DELETE FROM aiaspire.usage_rollups u
    WHERE u.tenant_id = p_tenant AND u.width = p_width AND u.bucket >= p_from AND u.bucket < p_to AND NOT EXISTS (
        SELECT FROM fresh f WHERE f.bucket = u.bucket AND f.feature = u.feature AND f.model = u.model AND f.provider = u.provider AND f.tier = u.tier);
END
$$;

-- Sums the minutes [p_from, p_to) of one tenant, and then the hours that they lie in.
CREATE OR REPLACE FUNCTION aiaspire.usage_rollup_minutes(p_tenant uuid, p_from timestamptz, p_to timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM aiaspire.keep_usage(p_tenant, 'minute', p_from, p_to);
    PERFORM aiaspire.keep_usage(
        p_tenant, 'hour', date_trunc('hour', p_from, 'UTC'), date_trunc('hour', p_to - interval '1 microsecond', 'UTC') + interval '1 hour');
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
