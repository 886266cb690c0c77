-- What is kept no longer than its tenant says, or than it is of use. Run after jobs.sql, and before security.sql, which says who may call what and as whom.

-- ── What is past its time ────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One condition for each kind of row: what deletes it and what counts it without deleting (expired_by_retention) ask the same. They become part of the
-- query that asks, so that its indexes serve; the two that look at other tables are asked last, of the few rows that are old enough.
CREATE OR REPLACE FUNCTION aiaspire.is_past(p_at timestamptz, p_days integer) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT p_at < now() - make_interval(days => p_days) $$;

-- Results are content of the user's: kept as long as the tenant keeps conversations. Ids lead to old rows without an index on the time.
CREATE OR REPLACE FUNCTION aiaspire.is_expired_job(p_job uuid, p_finished timestamptz, p_days integer) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT p_job < aiaspire.least_id(now() - make_interval(days => p_days)) AND p_finished < now() - make_interval(days => p_days) $$;

-- Listeners may come back for a day; after that events are of no use.
CREATE OR REPLACE FUNCTION aiaspire.is_expired_event(p_job uuid, p_at timestamptz, p_age interval) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT p_job < aiaspire.least_id(now() - p_age) AND p_at < now() - p_age $$;

-- Parts are used up by the work that they belong to; those of a work that came to nothing go after the tenant's retention. As long as the work is in the
-- queue, or is a dead letter that can be driven again, or a batch that is kept, they stay, however old: without them it would be paid for again.
CREATE OR REPLACE FUNCTION aiaspire.is_kept_work(p_tenant uuid, p_user uuid, p_work uuid) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT EXISTS (SELECT FROM aiaspire.jobs j WHERE j.tenant_id = p_tenant AND j.user_id = p_user AND (j.job_id = p_work OR j.part_of = p_work))
        OR EXISTS (SELECT FROM aiaspire.job_history h WHERE h.tenant_id = p_tenant AND h.user_id = p_user AND h.job_id = p_work AND h.payload IS NOT NULL)
        OR EXISTS (SELECT FROM aiaspire.batches b WHERE b.tenant_id = p_tenant AND b.user_id = p_user AND b.batch_id = p_work) $$;
CREATE OR REPLACE FUNCTION aiaspire.is_expired_part(p_tenant uuid, p_user uuid, p_work uuid, p_at timestamptz, p_days integer) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT p_at < now() - make_interval(days => p_days) AND NOT aiaspire.is_kept_work(p_tenant, p_user, p_work) $$;

-- Files go when their time is over, or with their tenant's retention should that be shorter by now; what was never finished after six hours.
-- The requests of a batch that is not over stay.
CREATE OR REPLACE FUNCTION aiaspire.is_read_by_batch(p_tenant uuid, p_user uuid, p_file uuid) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT EXISTS (SELECT FROM aiaspire.batches b
        WHERE b.tenant_id = p_tenant AND b.user_id = p_user AND b.input_file_id = p_file AND b.state IN ('Validating', 'InProgress', 'Finalizing', 'Cancelling')) $$;
CREATE OR REPLACE FUNCTION aiaspire.is_expired_file(
    p_tenant uuid, p_user uuid, p_file uuid, p_ready boolean, p_created timestamptz, p_expires timestamptz, p_days integer) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT (p_expires <= now() OR p_created < now() - make_interval(days => p_days) OR NOT p_ready AND p_created < now() - interval '6 hours')
        AND NOT aiaspire.is_read_by_batch(p_tenant, p_user, p_file) $$;

CREATE OR REPLACE FUNCTION aiaspire.is_expired_batch(p_state text, p_created timestamptz, p_days integer) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT p_created < now() - make_interval(days => p_days) AND p_state IN ('Completed', 'Failed', 'Expired', 'Cancelled') $$;

-- ── Deletion, a bounded number of rows at a time ─────────────────────────────────────────────────────────────────────────────────
-- Retention looks at all tenants and deletes whole conversations.
CREATE OR REPLACE FUNCTION aiaspire.delete_expired_conversations(p_limit integer) RETURNS TABLE (tenant_id uuid, deleted bigint)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT c.tenant_id, c.user_id, c.conversation_id FROM aiaspire.tenants t
            JOIN aiaspire.conversations c ON c.tenant_id = t.tenant_id AND aiaspire.is_past(c.last_message_at, t.retention_days)
            LIMIT p_limit FOR UPDATE OF c SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.conversations c USING expired e
            WHERE c.tenant_id = e.tenant_id AND c.user_id = e.user_id AND c.conversation_id = e.conversation_id
            RETURNING c.tenant_id
        )
        SELECT g.tenant_id, count(*) FROM gone g GROUP BY g.tenant_id;
    $$;

CREATE OR REPLACE FUNCTION aiaspire.delete_expired_job_events(p_age interval, p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT e.tenant_id, e.user_id, e.job_id, e.sequence FROM aiaspire.tenants t
            JOIN aiaspire.job_events e ON e.tenant_id = t.tenant_id AND aiaspire.is_expired_event(e.job_id, e.created_at, p_age)
            LIMIT p_limit FOR UPDATE OF e SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.job_events e USING expired x
            WHERE e.tenant_id = x.tenant_id AND e.user_id = x.user_id AND e.job_id = x.job_id AND e.sequence = x.sequence
            RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

CREATE OR REPLACE FUNCTION aiaspire.delete_expired_jobs(p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT h.tenant_id, h.user_id, h.job_id FROM aiaspire.tenants t
            JOIN aiaspire.job_history h ON h.tenant_id = t.tenant_id AND aiaspire.is_expired_job(h.job_id, h.finished_at, t.retention_days)
            LIMIT p_limit FOR UPDATE OF h SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.job_history h USING expired x
            WHERE h.tenant_id = x.tenant_id AND h.user_id = x.user_id AND h.job_id = x.job_id
            RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

CREATE OR REPLACE FUNCTION aiaspire.delete_expired_job_parts(p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT d.tenant_id, d.user_id, d.work_id, d.part FROM aiaspire.tenants t
            JOIN aiaspire.job_parts d ON d.tenant_id = t.tenant_id AND aiaspire.is_expired_part(d.tenant_id, d.user_id, d.work_id, d.created_at, t.retention_days)
            LIMIT p_limit FOR UPDATE OF d SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.job_parts d USING expired x
            WHERE d.tenant_id = x.tenant_id AND d.user_id = x.user_id AND d.work_id = x.work_id AND d.part = x.part
            RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

CREATE OR REPLACE FUNCTION aiaspire.delete_expired_files(p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT f.tenant_id, f.user_id, f.file_id FROM aiaspire.tenants t
            JOIN aiaspire.files f ON f.tenant_id = t.tenant_id
                AND aiaspire.is_expired_file(f.tenant_id, f.user_id, f.file_id, f.is_ready, f.created_at, f.expires_at, t.retention_days)
            LIMIT p_limit FOR UPDATE OF f SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.files f USING expired x WHERE f.tenant_id = x.tenant_id AND f.user_id = x.user_id AND f.file_id = x.file_id
            RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

CREATE OR REPLACE FUNCTION aiaspire.delete_expired_batches(p_limit integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        WITH expired AS (
            SELECT b.tenant_id, b.user_id, b.batch_id FROM aiaspire.tenants t
            JOIN aiaspire.batches b ON b.tenant_id = t.tenant_id AND aiaspire.is_expired_batch(b.state, b.created_at, t.retention_days)
            LIMIT p_limit FOR UPDATE OF b SKIP LOCKED
        ), gone AS (
            DELETE FROM aiaspire.batches b USING expired x WHERE b.tenant_id = x.tenant_id AND b.user_id = x.user_id AND b.batch_id = x.batch_id
            RETURNING 1
        )
        SELECT count(*) FROM gone;
    $$;

-- What retention would delete now, without deleting it: counts by tenant.
CREATE OR REPLACE FUNCTION aiaspire.expired_by_retention(p_event_age interval)
    RETURNS TABLE (tenant_id uuid, retention_days integer, conversations bigint, jobs bigint, job_events bigint, job_parts bigint, files bigint, batches bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT x.tenant_id, x.retention_days, x.conversations, x.jobs, x.job_events, x.job_parts, x.files, x.batches FROM (
            SELECT t.tenant_id, t.retention_days,
                (SELECT count(*) FROM aiaspire.conversations c
                    WHERE c.tenant_id = t.tenant_id AND aiaspire.is_past(c.last_message_at, t.retention_days)) AS conversations,
                (SELECT count(*) FROM aiaspire.job_history h
                    WHERE h.tenant_id = t.tenant_id AND aiaspire.is_expired_job(h.job_id, h.finished_at, t.retention_days)) AS jobs,
                (SELECT count(*) FROM aiaspire.job_events e
                    WHERE e.tenant_id = t.tenant_id AND aiaspire.is_expired_event(e.job_id, e.created_at, p_event_age)) AS job_events,
                (SELECT count(*) FROM aiaspire.job_parts d
                    WHERE d.tenant_id = t.tenant_id AND aiaspire.is_expired_part(d.tenant_id, d.user_id, d.work_id, d.created_at, t.retention_days)) AS job_parts,
                (SELECT count(*) FROM aiaspire.files f
                    WHERE f.tenant_id = t.tenant_id
                      AND aiaspire.is_expired_file(f.tenant_id, f.user_id, f.file_id, f.is_ready, f.created_at, f.expires_at, t.retention_days)) AS files,
                (SELECT count(*) FROM aiaspire.batches b
                    WHERE b.tenant_id = t.tenant_id AND aiaspire.is_expired_batch(b.state, b.created_at, t.retention_days)) AS batches
            FROM aiaspire.tenants t
        ) x WHERE x.conversations > 0 OR x.jobs > 0 OR x.job_events > 0 OR x.job_parts > 0 OR x.files > 0 OR x.batches > 0 ORDER BY x.tenant_id;
    $$;
