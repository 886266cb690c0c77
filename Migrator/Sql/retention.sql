-- What is kept no longer than its tenant says. Jobs, files and batches are in jobs.sql. Run before security.sql, which says who may call what and
-- as whom.

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
