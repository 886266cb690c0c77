-- Answers that are kept for their repeats. Run before security.sql, which says who may call what and as whom.

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
