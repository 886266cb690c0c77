-- The queue: how its tables are kept, and its functions. Run before security.sql, which says who may call what and as whom.
--
-- A job is in aiaspire.jobs while it waits or runs and in aiaspire.job_history when it is over. Whoever moves, renews or releases a running
-- job names the lease token that its claim drew; a worker that lost the lease changes nothing.

-- Rows come and go all the time: room in each page for a heartbeat beside the row it replaces (which then touches no index), and vacuum by
-- the number of dead rows, not by the size of a table that ought to be nearly empty.
ALTER TABLE aiaspire.jobs SET (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.1,
    autovacuum_analyze_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE aiaspire.job_events SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
-- A result is encrypted and will not get smaller.
ALTER TABLE aiaspire.jobs ALTER COLUMN payload SET STORAGE EXTERNAL;
ALTER TABLE aiaspire.job_events ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE aiaspire.job_parts ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE aiaspire.file_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS job_history_dead_letters_idx ON aiaspire.job_history (tenant_id, job_id) WHERE state = 'Failed';

-- Workers serve all tenants. A claim goes round the ring of tenants that have ready jobs, from where this worker's last one ended, and takes from
-- each in turn, first from those that run fewest: a tenant with ten thousand jobs waits like one with a single one. What runs is counted from
-- the rows themselves, so no counter can drift; claims come one after the other, so the caps are exact.
--
-- A turn is worth nothing while all slots are taken by jobs of a minute's length. So a worker takes a further job of a tenant only while it runs fewer of
-- its jobs than p_share times its free slots (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM
-- Transactions on Networking 6(2), 1998): one busy tenant leaves one slot in p_share + 1 free for whoever comes, two leave one in 2 * p_share + 1.
--
-- PostgreSQL keeps the index entries of jobs that are over for as long as any transaction of the cluster may see them. So that a claim need not read them
-- all under a long one, a worker says where its last claims ended: in p_from for each of the tenants and priorities that it knows, and in p_running_since,
-- before which nothing ran. These are hints. With p_tenants null a claim looks at everything, and finds what they miss: other tenants and priorities, jobs
-- whose transaction committed late, the first jobs after the clock was set back.
--
-- With p_oldest_first a claim that looks at everything takes each tenant's jobs in the order of their time, whatever their priority: else a tenant whose users
-- keep one urgent job waiting all day would never begin a less urgent one.
--
-- The lock is held until the answer is sent, and a worker that hangs takes nothing in. So the answer is small: payloads are read after it (job_payloads).
CREATE OR REPLACE FUNCTION aiaspire.claim_jobs(p_worker text, p_kinds text[], p_limit integer, p_lease interval, p_tenant_cap integer, p_share integer,
        p_after uuid, p_oldest_first boolean, p_running_since timestamptz, p_tenants uuid[], p_priorities smallint[], p_from timestamptz[])
    RETURNS TABLE (tenant_id uuid, user_id uuid, job_id uuid, kind text, tries integer, failures integer, snoozes integer, lost_leases integer,
        max_tries integer, lease_token uuid, trace_parent text, ready_at timestamptz, deadline timestamptz, max_cost numeric, cancel_requested boolean, visit integer,
        priority smallint, running_since timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    -- The table goes from empty to full and back faster than statistics follow; the right plan is always by index.
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS $$
#variable_conflict use_column
DECLARE
    -- Longer rings are gone through in several claims.
    c_visits CONSTANT integer := 200;
    c_promoted CONSTANT integer := 500;
    c_last_priority CONSTANT smallint := 32767;
    c_lowest_priority CONSTANT integer := 9; -- JobSpec.MaxPriority
    v_now timestamptz;
    -- The ring: each tenant's first ready job.
    v_ring uuid[];
    v_priorities smallint[];
    v_from timestamptz[];
    v_oldest timestamptz;
    v_rows tid[];
    v_tenants uuid[];
    v_visits integer[];
BEGIN
    -- A claim that a crash of the database undoes is only made again; its worker is fenced off.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(1095058259, 1);
    v_now := clock_timestamp();

    UPDATE aiaspire.jobs j SET state = 'Queued' WHERE j.ctid = ANY (ARRAY(
        SELECT s.ctid FROM aiaspire.jobs s
        WHERE s.state = 'Scheduled' AND s.available_at <= v_now ORDER BY s.available_at LIMIT c_promoted FOR UPDATE SKIP LOCKED));

    IF p_tenants IS NULL THEN
        WITH RECURSIVE ring (tenant_id, priority, available_at, wrapped, visit) AS (
            SELECT p_after, NULL::smallint, NULL::timestamptz, false, 0
            UNION ALL
            SELECT succ.tenant_id, succ.priority, succ.available_at, succ.wrapped, r.visit + 1
            FROM ring r CROSS JOIN LATERAL (
                (SELECT q.tenant_id, q.priority, q.available_at, r.wrapped FROM aiaspire.jobs q
                    WHERE q.state = 'Queued' AND q.tenant_id > r.tenant_id ORDER BY q.tenant_id, q.priority, q.available_at LIMIT 1)
                UNION ALL
                (SELECT q.tenant_id, q.priority, q.available_at, true FROM aiaspire.jobs q
                    WHERE q.state = 'Queued' AND NOT r.wrapped ORDER BY q.tenant_id, q.priority, q.available_at LIMIT 1)
                LIMIT 1
            ) succ (tenant_id, priority, available_at, wrapped)
            WHERE r.visit < c_visits AND NOT (succ.wrapped AND succ.tenant_id > p_after)
        )
        SELECT array_agg(r.tenant_id), array_agg(r.priority), array_agg(r.available_at) INTO v_ring, v_priorities, v_from FROM ring r WHERE r.visit > 0;
    ELSE
        SELECT array_agg(h.tenant), array_agg(h.priority), array_agg(h.available_at) INTO v_ring, v_priorities, v_from
        FROM (
            SELECT DISTINCT ON (k.tenant) k.tenant, k.priority, head.available_at
            FROM unnest(p_tenants, p_priorities, p_from) AS k (tenant, priority, since) CROSS JOIN LATERAL (
                SELECT q.available_at FROM aiaspire.jobs q
                WHERE q.state = 'Queued' AND q.tenant_id = k.tenant AND q.priority = k.priority AND q.available_at >= k.since ORDER BY q.available_at LIMIT 1
            ) head
            ORDER BY k.tenant, k.priority
        ) h;
    END IF;

    -- What may be taken is found in one statement and taken in the next, each row by its key or its place: the planner, whose statistics of a queue that
    -- fills and empties itself say little, would else read the whole table, with its dead rows, for each of them.
    WITH running AS MATERIALIZED (
        SELECT r.tenant_id, r.user_id, r.job_id, r.kind, r.worker, r.lease_until, r.claimed_at FROM aiaspire.jobs r
        WHERE r.state = 'Running' AND r.claimed_at >= coalesce(p_running_since, '-infinity')
    ), busy AS MATERIALIZED (
        SELECT r.tenant_id, count(*)::integer AS jobs, count(*) FILTER (WHERE r.worker = p_worker)::integer AS here
        FROM running r WHERE r.lease_until > v_now GROUP BY r.tenant_id
    ), ready AS MATERIALIZED (
        SELECT v.tenant_id, v.priority, v.available_at, (row_number() OVER (ORDER BY v.tenant_id <= p_after, v.tenant_id))::integer AS visit,
            coalesce(b.jobs, 0) AS jobs,
            -- As if all of them took as many; whoever may take more after that does so with the next claim.
            least(p_tenant_cap - coalesce(b.jobs, 0), ceil((p_share * p_limit - coalesce(b.here, 0))::numeric / (1 + p_share * count(*) OVER ()))::integer) AS most
        FROM unnest(v_ring, v_priorities, v_from) AS v (tenant_id, priority, available_at) LEFT JOIN busy b ON b.tenant_id = v.tenant_id
        WHERE coalesce(b.jobs, 0) < p_tenant_cap AND coalesce(b.here, 0) < p_share * p_limit
    ), chosen AS MATERIALIZED (
        (SELECT r.tenant_id, r.user_id, r.job_id, 0 AS visit, 0 AS place FROM running r
            WHERE r.lease_until <= v_now AND r.kind = ANY (p_kinds) ORDER BY r.lease_until LIMIT p_limit)
        UNION ALL
        SELECT o.tenant_id, head.user_id, head.job_id, o.visit, o.jobs + head.place
        FROM ready o CROSS JOIN LATERAL (
            -- By rows: jobs that were queued together have one time, and would else be numbered all together.
            SELECT q.user_id, q.job_id, row_number() OVER (ORDER BY q.priority, q.available_at ROWS UNBOUNDED PRECEDING)::integer AS place
            FROM aiaspire.jobs q WHERE q.tenant_id = o.tenant_id AND q.state = 'Queued' AND q.kind = ANY (p_kinds)
                AND (q.priority, q.available_at) >= (o.priority, o.available_at)
                AND q.priority <= CASE WHEN p_tenants IS NULL THEN c_last_priority ELSE o.priority END
            ORDER BY q.priority, q.available_at
            LIMIT o.most
        ) head
        WHERE NOT (p_oldest_first AND p_tenants IS NULL)
        UNION ALL
        SELECT o.tenant_id, head.user_id, head.job_id, o.visit, o.jobs + head.place
        FROM ready o CROSS JOIN LATERAL (
            -- The heads of its priorities, each by the index, put together.
            SELECT f.user_id, f.job_id, row_number() OVER (ORDER BY f.available_at ROWS UNBOUNDED PRECEDING)::integer AS place
            FROM generate_series(0, c_lowest_priority) AS p (priority) CROSS JOIN LATERAL (
                SELECT q.user_id, q.job_id, q.available_at FROM aiaspire.jobs q
                WHERE q.tenant_id = o.tenant_id AND q.priority = p.priority::smallint AND q.state = 'Queued' AND q.kind = ANY (p_kinds)
                ORDER BY q.available_at LIMIT o.most
            ) f
            ORDER BY f.available_at
            LIMIT o.most
        ) head
        WHERE p_oldest_first AND p_tenants IS NULL
        ORDER BY 5, 4 LIMIT p_limit
    )
    SELECT array_agg(held.ctid ORDER BY c.visit DESC), array_agg(c.tenant_id ORDER BY c.visit DESC), array_agg(c.visit ORDER BY c.visit DESC),
        (SELECT coalesce(min(r.claimed_at), v_now) FROM running r)
    INTO v_rows, v_tenants, v_visits, v_oldest
    FROM chosen c CROSS JOIN LATERAL (
        SELECT j.ctid FROM aiaspire.jobs j
        WHERE j.tenant_id = c.tenant_id AND j.user_id = c.user_id AND j.job_id = c.job_id
            -- Asked again of the row as it is once it is locked: it may have been cancelled, or its lease renewed.
            AND (j.state = 'Queued' OR (j.state = 'Running' AND j.lease_until <= v_now))
        FOR UPDATE SKIP LOCKED
    ) held;
    RETURN QUERY
    UPDATE aiaspire.jobs j SET
        state = 'Running', worker = p_worker, lease_token = gen_random_uuid(), lease_until = clock_timestamp() + p_lease, claimed_at = v_now, tries = j.tries + 1,
        lost_leases = j.lost_leases + CASE j.state WHEN 'Running' THEN 1 ELSE 0 END, started_at = coalesce(j.started_at, v_now), progress = NULL, error_code = NULL
    WHERE j.ctid = ANY (v_rows)
    RETURNING j.tenant_id, j.user_id, j.job_id, j.kind, j.tries, j.failures, j.snoozes, j.lost_leases, j.max_tries, j.lease_token, j.trace_parent,
        j.available_at, j.deadline, j.max_cost, j.cancel_requested, v_visits[array_position(v_tenants, j.tenant_id)], j.priority, v_oldest;
END
$$;

-- What claimed jobs are to do. One whose lease is gone meanwhile is another's, and left out.
CREATE OR REPLACE FUNCTION aiaspire.job_payloads(p_tenants uuid[], p_users uuid[], p_jobs uuid[], p_leases uuid[])
    RETURNS TABLE (lease_token uuid, payload bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- One look by the key for each, as in finish_jobs.
    SELECT j.lease_token, j.payload
    FROM unnest(p_tenants, p_users, p_jobs, p_leases) AS g (tenant, usr, job, lease) CROSS JOIN LATERAL (
        SELECT r.lease_token, r.payload FROM aiaspire.jobs r
        WHERE r.tenant_id = g.tenant AND r.user_id = g.usr AND r.job_id = g.job AND r.lease_token = g.lease OFFSET 0
    ) j;
END
$$;

-- Heartbeats of all jobs of one process. A row that is locked is just being finished or cancelled: it is told as held and left alone.
CREATE OR REPLACE FUNCTION aiaspire.renew_jobs(p_tenants uuid[], p_users uuid[], p_jobs uuid[], p_leases uuid[], p_lease interval)
    RETURNS TABLE (lease_token uuid, cancel_requested boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
    WITH held AS MATERIALIZED (
        -- One look by the key for each, as in finish_jobs; OFFSET keeps the planner from another order.
        SELECT j.tenant_id, j.user_id, j.job_id, j.lease_token, j.cancel_requested
        FROM unnest(p_tenants, p_users, p_jobs, p_leases) AS g (tenant, usr, job, lease) CROSS JOIN LATERAL (
            SELECT r.tenant_id, r.user_id, r.job_id, r.lease_token, r.cancel_requested FROM aiaspire.jobs r
            WHERE r.tenant_id = g.tenant AND r.user_id = g.usr AND r.job_id = g.job AND r.lease_token = g.lease OFFSET 0
        ) j
    ), locked AS MATERIALIZED (
        SELECT j.tenant_id, j.user_id, j.job_id, j.lease_token
        FROM held h JOIN aiaspire.jobs j ON j.tenant_id = h.tenant_id AND j.user_id = h.user_id AND j.job_id = h.job_id AND j.lease_token = h.lease_token
        FOR UPDATE OF j SKIP LOCKED
    ), renewed AS (
        UPDATE aiaspire.jobs j SET lease_until = clock_timestamp() + p_lease FROM locked l
        WHERE j.tenant_id = l.tenant_id AND j.user_id = l.user_id AND j.job_id = l.job_id AND j.lease_token = l.lease_token AND j.state = 'Running'
    )
    SELECT h.lease_token, h.cancel_requested FROM held h;
END
$$;

-- Ends jobs of several tenants at once; returns the leases whose jobs are ended by them, be it now or by this very call before. In PL/pgSQL, which
-- keeps its plans: before version 18 one in SQL is planned anew for each call, over all partitions of the history.
CREATE OR REPLACE FUNCTION aiaspire.finish_jobs(
    p_tenants uuid[], p_users uuid[], p_jobs uuid[], p_leases uuid[], p_states text[], p_results bytea[], p_codes text[], p_messages text[], p_costs numeric[])
    RETURNS TABLE (lease_token uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off SET jit = off
    AS $$
#variable_conflict use_column
DECLARE
    v_ended bigint;
    v_rows tid[];
BEGIN
    -- One look by the key for each, whatever the planner takes the table's size to be: its own order read the whole table, and the dead rows with it.
    -- Only a running job has a token. Locked, none can move until the next statement.
    SELECT array_agg(held.ctid) INTO v_rows
    FROM unnest(p_tenants, p_users, p_jobs, p_leases) AS g (tenant, usr, job, lease) CROSS JOIN LATERAL (
        SELECT j.ctid FROM aiaspire.jobs j
        WHERE j.tenant_id = g.tenant AND j.user_id = g.usr AND j.job_id = g.job AND j.lease_token = g.lease
        FOR UPDATE
    ) held;
    RETURN QUERY
    WITH done AS (
        DELETE FROM aiaspire.jobs j WHERE j.ctid = ANY (v_rows) RETURNING j.*
    ), kept AS (
        INSERT INTO aiaspire.job_history (tenant_id, user_id, job_id, kind, part_of, state, priority, tries, failures, max_tries, max_cost, cost, payload, result,
            error_code, error_message, trace_parent, lease_token, created_at, started_at, finished_at)
        SELECT d.tenant_id, d.user_id, d.job_id, d.kind, d.part_of, g.state, d.priority, d.tries, d.failures, d.max_tries, d.max_cost,
            -- Who ends a job in the middle of its work does not know what its parts have cost. One that succeeded has used them up.
            CASE g.state WHEN 'Succeeded' THEN g.cost ELSE greatest(g.cost, (SELECT sum(p.cost) FROM aiaspire.job_parts p
                WHERE p.tenant_id = d.tenant_id AND p.user_id = d.user_id AND p.work_id = d.job_id)) END,
            CASE g.state WHEN 'Failed' THEN d.payload END, g.result, g.code, g.message, d.trace_parent, d.lease_token, d.created_at, d.started_at, clock_timestamp()
        FROM done d
        JOIN unnest(p_leases, p_states, p_results, p_codes, p_messages, p_costs) AS g (lease, state, result, code, message, cost) ON g.lease = d.lease_token
        RETURNING job_history.lease_token
    )
    SELECT k.lease_token FROM kept k;
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    IF v_ended < cardinality(p_leases) THEN
        RETURN QUERY
        SELECT h.lease_token FROM unnest(p_tenants, p_users, p_jobs, p_leases, p_states) AS g (tenant, usr, job, lease, state)
        JOIN aiaspire.job_history h
            ON h.tenant_id = g.tenant AND h.user_id = g.usr AND h.job_id = g.job AND h.lease_token = g.lease AND h.state = g.state;
    END IF;
END
$$;

-- The fence: raised inside a settling transaction, it undoes result, messages and charge together. With the rights of its caller.
CREATE OR REPLACE FUNCTION aiaspire.finish_job(
    p_tenant uuid, p_user uuid, p_job uuid, p_lease uuid, p_state text, p_result bytea, p_error_code text, p_error_message text, p_cost numeric) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    WITH done AS (
        DELETE FROM aiaspire.jobs j
        WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND j.job_id = p_job AND j.lease_token = p_lease AND j.state = 'Running'
        RETURNING j.*
    )
    INSERT INTO aiaspire.job_history (tenant_id, user_id, job_id, kind, part_of, state, priority, tries, failures, max_tries, max_cost, cost, payload, result,
        error_code, error_message, trace_parent, lease_token, created_at, started_at, finished_at)
    SELECT d.tenant_id, d.user_id, d.job_id, d.kind, d.part_of, p_state, d.priority, d.tries, d.failures, d.max_tries, d.max_cost,
        greatest(p_cost, (SELECT sum(p.cost) FROM aiaspire.job_parts p WHERE p.tenant_id = p_tenant AND p.user_id = p_user AND p.work_id = p_job)),
        CASE p_state WHEN 'Failed' THEN d.payload END, p_result, p_error_code, p_error_message, d.trace_parent, p_lease, d.created_at, d.started_at, clock_timestamp()
    FROM done d;
    -- Also when the commit's answer was lost and the transaction comes again.
    IF NOT FOUND AND NOT EXISTS (
        SELECT FROM aiaspire.job_history h
        WHERE h.tenant_id = p_tenant AND h.user_id = p_user AND h.job_id = p_job AND h.lease_token = p_lease AND h.state = p_state)
    THEN
        RAISE EXCEPTION 'the lease of job % is lost', p_job USING ERRCODE = 'AI001';
    END IF;
END
$$;

-- Lets the rest of the transaction count only while its run has the lease, and keeps claims from the job until it is over. Heartbeats
-- change no key and pass.
CREATE OR REPLACE FUNCTION aiaspire.hold_job(p_tenant uuid, p_user uuid, p_job uuid, p_lease uuid) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM aiaspire.jobs j
    WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND j.job_id = p_job AND j.lease_token = p_lease AND j.state = 'Running' FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of job % is lost', p_job USING ERRCODE = 'AI001';
    END IF;
END
$$;

-- What one call of a larger work brought, in the transaction that settles the call: once, by whoever has the lease.
CREATE OR REPLACE FUNCTION aiaspire.keep_part(
    p_tenant uuid, p_user uuid, p_job uuid, p_lease uuid, p_work uuid, p_part integer, p_request uuid, p_succeeded boolean, p_cost numeric, p_data bytea) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM aiaspire.hold_job(p_tenant, p_user, p_job, p_lease);
    INSERT INTO aiaspire.job_parts (tenant_id, user_id, work_id, part, request_id, succeeded, cost, data, created_at)
        VALUES (p_tenant, p_user, p_work, p_part, p_request, p_succeeded, p_cost, p_data, clock_timestamp())
        ON CONFLICT DO NOTHING;
    -- Also when the commit's answer was lost and the transaction comes again.
    IF NOT FOUND AND NOT EXISTS (
        SELECT FROM aiaspire.job_parts d
        WHERE d.tenant_id = p_tenant AND d.user_id = p_user AND d.work_id = p_work AND d.part = p_part AND d.request_id = p_request)
    THEN
        RAISE EXCEPTION 'part % of % is there already', p_part, p_work USING ERRCODE = 'AI003';
    END IF;
END
$$;

-- Back into the queue. Null: the lease is lost.
CREATE OR REPLACE FUNCTION aiaspire.release_job(
    p_tenant uuid, p_user uuid, p_job uuid, p_lease uuid, p_delay interval, p_failed integer, p_snoozed integer, p_error_code text) RETURNS text
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
DECLARE
    v_state text;
BEGIN
    UPDATE aiaspire.jobs j SET
        state = CASE WHEN p_delay > interval '0' THEN 'Scheduled' ELSE 'Queued' END, available_at = clock_timestamp() + p_delay,
        failures = j.failures + p_failed, snoozes = j.snoozes + p_snoozed, lease_token = NULL, lease_until = NULL, worker = NULL, error_code = p_error_code
    WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND j.job_id = p_job AND j.lease_token = p_lease AND j.state = 'Running' AND NOT j.cancel_requested
    RETURNING j.state INTO v_state;
    IF FOUND THEN
        RETURN v_state;
    END IF;
    PERFORM FROM aiaspire.jobs j
    WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND j.job_id = p_job AND j.lease_token = p_lease AND j.state = 'Running' AND j.cancel_requested FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM aiaspire.finish_job(p_tenant, p_user, p_job, p_lease, 'Cancelled', NULL, 'cancelled', 'The job was cancelled.', 0);
    RETURN 'Cancelled';
END
$$;

-- Every end of a job is told to the webhooks of its tenant that name it, by the statement that ends it: neither can be without the other.
-- Ids and figures only. The outbox is not the users' to write, hence the rights of the functions role.
CREATE OR REPLACE FUNCTION aiaspire.tell_finished_jobs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    WITH told AS (
        INSERT INTO aiaspire.notifications (tenant_id, notification_id, dedup_key, topic, subject, text, data, created_at)
        -- A dead letter that is driven again ends again, under another lease.
        SELECT f.tenant_id, gen_random_uuid(), format('job:%s:%s', f.job_id, coalesce(f.lease_token::text, 'waiting')), t.topic,
            format('Job %s: %s', f.job_id, lower(f.state)), format('The job %s (%s) is over: %s.', f.job_id, f.kind, concat_ws(', ', lower(f.state), f.error_code)),
            jsonb_build_object('job_id', f.job_id, 'kind', f.kind, 'status', lower(f.state), 'error_code', f.error_code, 'cost_usd', f.cost, 'tries', f.tries,
                'created_at', f.created_at, 'finished_at', f.finished_at),
            f.finished_at
        FROM finished f
        CROSS JOIN LATERAL (SELECT CASE f.state WHEN 'Succeeded' THEN 'job.completed' WHEN 'Failed' THEN 'job.failed' ELSE 'job.cancelled' END) AS t (topic)
        -- What does a part of a larger work ends with it.
        WHERE f.part_of IS NULL AND EXISTS (SELECT FROM aiaspire.notification_webhooks w WHERE w.tenant_id = f.tenant_id AND t.topic = ANY (w.topics))
        ON CONFLICT (tenant_id, dedup_key) DO NOTHING
        RETURNING tenant_id, notification_id, topic, created_at
    )
    INSERT INTO aiaspire.notification_deliveries (tenant_id, delivery_id, notification_id, channel, target, state, tries, available_at)
    SELECT n.tenant_id, gen_random_uuid(), n.notification_id, 'webhook', w.webhook_id::text, 'Pending', 0, n.created_at
    FROM told n JOIN aiaspire.notification_webhooks w ON w.tenant_id = n.tenant_id AND n.topic = ANY (w.topics);
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER tell_finished AFTER INSERT ON aiaspire.job_history REFERENCING NEW TABLE AS finished
    FOR EACH STATEMENT EXECUTE FUNCTION aiaspire.tell_finished_jobs();

-- A batch whose own job was given up is over: what is not begun will not be (BatchLinesJob asks), and what was answered stays as its parts until somebody
-- drives the job again, or for the tenant's retention. By the statement that ends the job, whoever makes it.
CREATE OR REPLACE FUNCTION aiaspire.fail_batch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE aiaspire.batches b SET state = 'Failed', finished_at = NEW.finished_at
    WHERE b.tenant_id = NEW.tenant_id AND b.user_id = NEW.user_id AND b.batch_id = NEW.part_of
      AND b.state IN ('Validating', 'InProgress', 'Finalizing', 'Cancelling');
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER fail_batch AFTER INSERT ON aiaspire.job_history FOR EACH ROW
    WHEN (NEW.kind = 'batch' AND NEW.state = 'Failed') EXECUTE FUNCTION aiaspire.fail_batch();

-- A job that waits is cancelled here; one that runs by its worker, which hears of it with its next heartbeat if not before. Null: the user has no such job.
CREATE OR REPLACE FUNCTION aiaspire.cancel_job(p_tenant uuid, p_user uuid, p_job uuid) RETURNS text
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    WITH gone AS (
        DELETE FROM aiaspire.jobs j
        WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND j.job_id = p_job AND j.part_of IS NULL AND j.state IN ('Queued', 'Scheduled')
        RETURNING j.*
    )
    INSERT INTO aiaspire.job_history (tenant_id, user_id, job_id, kind, state, priority, tries, failures, max_tries, max_cost, cost,
        error_code, error_message, trace_parent, created_at, started_at, finished_at)
    SELECT g.tenant_id, g.user_id, g.job_id, g.kind, 'Cancelled', g.priority, g.tries, g.failures, g.max_tries, g.max_cost,
        coalesce((SELECT sum(p.cost) FROM aiaspire.job_parts p WHERE p.tenant_id = p_tenant AND p.user_id = p_user AND p.work_id = p_job), 0),
        'cancelled', 'The job was cancelled.', g.trace_parent, g.created_at, g.started_at, clock_timestamp()
    FROM gone g;
    IF FOUND THEN
        RETURN 'Cancelled';
    END IF;
    UPDATE aiaspire.jobs j SET cancel_requested = true
    WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND j.job_id = p_job AND j.part_of IS NULL;
    IF FOUND THEN
        RETURN 'Running';
    END IF;
    RETURN (SELECT h.state FROM aiaspire.job_history h WHERE h.tenant_id = p_tenant AND h.user_id = p_user AND h.job_id = p_job AND h.part_of IS NULL);
END
$$;

-- How the whole queue stands, for metrics and for whoever scales workers; counts and ages only.
CREATE OR REPLACE FUNCTION aiaspire.job_queue_status()
    RETURNS TABLE (queued bigint, scheduled bigint, running bigint, oldest_ready_seconds double precision, dead_tuples bigint, oldest_xmin_age bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT q.jobs, (SELECT count(*) FROM aiaspire.jobs j WHERE j.state = 'Scheduled'), (SELECT count(*) FROM aiaspire.jobs j WHERE j.state = 'Running'),
            coalesce(greatest(0, extract(epoch FROM clock_timestamp() - q.oldest)), 0)::double precision,
            coalesce((SELECT s.n_dead_tup FROM pg_stat_all_tables s WHERE s.relid = 'aiaspire.jobs'::regclass), 0),
            greatest(
                (SELECT coalesce(max(age(a.backend_xmin)), 0) FROM pg_stat_activity a),
                (SELECT coalesce(max(greatest(age(r.xmin), age(r.catalog_xmin))), 0) FROM pg_replication_slots r),
                (SELECT coalesce(max(age(p.transaction)), 0) FROM pg_prepared_xacts p))::bigint
        FROM (SELECT count(*) AS jobs, min(j.available_at) AS oldest FROM aiaspire.jobs j WHERE j.state = 'Queued') q;
    $$;

-- What a tenant's administrators may know of all its users' jobs: nothing that a user wrote.
CREATE OR REPLACE FUNCTION aiaspire.list_dead_letters(p_after uuid, p_limit integer)
    RETURNS TABLE (job_id uuid, user_id uuid, kind text, tries integer, error_code text, error_message text, created_at timestamptz, finished_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT h.job_id, h.user_id, h.kind, h.tries, h.error_code, h.error_message, h.created_at, h.finished_at
        FROM aiaspire.job_history h
        WHERE h.tenant_id = aiaspire.tenant_id() AND aiaspire.reach() = 'tenant_admin' AND h.state = 'Failed' AND (p_after IS NULL OR h.job_id < p_after)
        ORDER BY h.job_id DESC LIMIT p_limit;
    $$;

CREATE OR REPLACE FUNCTION aiaspire.tenant_queue()
    RETURNS TABLE (queued bigint, scheduled bigint, running bigint, dead_letters bigint, oldest_ready_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT count(*) FILTER (WHERE j.state = 'Queued'), count(*) FILTER (WHERE j.state = 'Scheduled'), count(*) FILTER (WHERE j.state = 'Running'),
            (SELECT count(*) FROM aiaspire.job_history h WHERE h.tenant_id = aiaspire.tenant_id() AND aiaspire.reach() = 'tenant_admin' AND h.state = 'Failed'),
            coalesce(extract(epoch FROM clock_timestamp() - min(j.available_at) FILTER (WHERE j.state = 'Queued')), 0)::double precision
        FROM aiaspire.jobs j WHERE j.tenant_id = aiaspire.tenant_id() AND aiaspire.reach() = 'tenant_admin';
    $$;

-- Dead letters become jobs again under their old ids, with new tries; their unique keys may be another's by now.
CREATE OR REPLACE FUNCTION aiaspire.redrive_dead_letters(p_job uuid, p_limit integer, p_deadline interval) RETURNS integer
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH chosen AS (
            SELECT h.tenant_id, h.user_id, h.job_id FROM aiaspire.job_history h
            WHERE h.tenant_id = aiaspire.tenant_id() AND aiaspire.reach() = 'tenant_admin' AND h.state = 'Failed' AND h.payload IS NOT NULL
              AND (p_job IS NULL OR h.job_id = p_job)
            ORDER BY h.job_id LIMIT p_limit FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.job_history h USING chosen c
            WHERE h.tenant_id = c.tenant_id AND h.user_id = c.user_id AND h.job_id = c.job_id
            RETURNING h.*
        ), back AS (
            INSERT INTO aiaspire.jobs (tenant_id, user_id, job_id, kind, part_of, state, priority, available_at, deadline, tries, failures, snoozes, lost_leases, max_tries,
                max_cost, cancel_requested, payload, trace_parent, created_at)
            SELECT g.tenant_id, g.user_id, g.job_id, g.kind, g.part_of, 'Queued', g.priority, clock_timestamp(), clock_timestamp() + p_deadline, g.tries, 0, 0, 0, g.max_tries,
                g.max_cost, false, g.payload, g.trace_parent, g.created_at
            FROM gone g
            RETURNING jobs.tenant_id, jobs.user_id, jobs.kind, jobs.part_of
        ), reopened AS (
            -- A batch that failed with its own job goes on from where it was.
            UPDATE aiaspire.batches b SET finished_at = NULL,
                state = CASE WHEN b.cancelling_at IS NOT NULL THEN 'Cancelling' WHEN b.total IS NULL THEN 'Validating' ELSE 'InProgress' END
            FROM back k WHERE k.kind = 'batch' AND b.tenant_id = k.tenant_id AND b.user_id = k.user_id AND b.batch_id = k.part_of AND b.state = 'Failed'
        )
        SELECT count(*)::integer FROM back;
    $$;

-- The end of a batch is told like that of a job: by the statement that ends it, ids and figures only.
CREATE OR REPLACE FUNCTION aiaspire.tell_finished_batch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    v_topic text := 'batch.' || lower(NEW.state);
    v_id text := 'batch_' || replace(NEW.batch_id::text, '-', '');
BEGIN
    WITH told AS (
        INSERT INTO aiaspire.notifications (tenant_id, notification_id, dedup_key, topic, subject, text, data, created_at)
        -- A batch whose job is driven again ends again, at another time.
        SELECT NEW.tenant_id, gen_random_uuid(), format('batch:%s:%s', NEW.batch_id, extract(epoch FROM NEW.finished_at)), v_topic, format('Batch %s: %s', v_id, lower(NEW.state)),
            format('The batch %s is over: %s.', v_id, lower(NEW.state)),
            jsonb_build_object('id', v_id, 'status', lower(NEW.state), 'total', NEW.total, 'completed', NEW.completed, 'failed', NEW.failed, 'cost_usd', NEW.cost),
            clock_timestamp()
        WHERE EXISTS (SELECT FROM aiaspire.notification_webhooks w WHERE w.tenant_id = NEW.tenant_id AND v_topic = ANY (w.topics))
        ON CONFLICT (tenant_id, dedup_key) DO NOTHING
        RETURNING tenant_id, notification_id, topic, created_at
    )
    INSERT INTO aiaspire.notification_deliveries (tenant_id, delivery_id, notification_id, channel, target, state, tries, available_at)
    SELECT n.tenant_id, gen_random_uuid(), n.notification_id, 'webhook', w.webhook_id::text, 'Pending', 0, n.created_at
    FROM told n JOIN aiaspire.notification_webhooks w ON w.tenant_id = n.tenant_id AND n.topic = ANY (w.topics);
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER tell_finished AFTER UPDATE OF state ON aiaspire.batches FOR EACH ROW
    WHEN (NEW.state IN ('Completed', 'Failed', 'Expired', 'Cancelled') AND OLD.state <> NEW.state) EXECUTE FUNCTION aiaspire.tell_finished_batch();

-- Makes what was written a file. With a bound on what its user's files have together, such files of one user are sealed one after the other, each
-- seeing those before: uploads at once cannot all fit into the same room.
CREATE OR REPLACE FUNCTION aiaspire.seal_file(p_tenant uuid, p_user uuid, p_file uuid, p_bytes bigint, p_kept interval, p_most bigint) RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog AS $$
BEGIN
    IF p_most IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(format('files:%s:%s', p_tenant, p_user), 0));
        IF p_bytes + (SELECT coalesce(sum(f.bytes), 0) FROM aiaspire.files f WHERE f.tenant_id = p_tenant AND f.user_id = p_user AND f.file_id <> p_file) > p_most THEN
            RAISE EXCEPTION 'the files of user % have no room for file %', p_user, p_file USING ERRCODE = 'AI004';
        END IF;
    END IF;
    UPDATE aiaspire.files f SET is_ready = true, bytes = p_bytes, expires_at = least(f.expires_at, f.created_at + p_kept)
    WHERE f.tenant_id = p_tenant AND f.user_id = p_user AND f.file_id = p_file;
END
$$;
