-- The outbox of notifications. Run before security.sql, which says who may call what and as whom.

-- Workers deliver for all tenants. A claim draws a new lease token, which fences off whoever held the delivery before. Tenants are served in turn, and
-- neither a tenant nor one of its targets has more than its number under way: an endpoint that swallows what it is sent holds up nobody else's.
CREATE OR REPLACE FUNCTION aiaspire.claim_notifications(p_limit integer, p_of_tenant integer, p_of_target integer, p_lease interval)
    RETURNS TABLE (tenant_id uuid, delivery_id uuid, notification_id uuid, channel text, target text, tries integer, lease_token uuid,
        topic text, subject text, text text, data text, created_at timestamptz, url text, secret bytea)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        -- One at a time: two claims at once would each count without the other's. The next statement sees what the one before committed.
        SELECT pg_advisory_xact_lock(hashtextextended('claim_notifications', 0));
        WITH held AS (
            SELECT d.tenant_id, d.channel, d.target, count(*) AS under_way FROM aiaspire.notification_deliveries d
            WHERE d.state = 'Pending' AND d.lease_token IS NOT NULL AND d.available_at > now()
            GROUP BY d.tenant_id, d.channel, d.target
        ), of_target AS (
            SELECT d.tenant_id, d.delivery_id, d.available_at,
                coalesce(h.under_way, 0) + row_number() OVER (PARTITION BY d.tenant_id, d.channel, d.target ORDER BY d.available_at) AS place
            FROM aiaspire.notification_deliveries d
            LEFT JOIN held h ON h.tenant_id = d.tenant_id AND h.channel = d.channel AND h.target = d.target
            WHERE d.state = 'Pending' AND d.available_at <= now()
        ), of_tenant AS (
            SELECT t.tenant_id, t.delivery_id, t.available_at,
                coalesce((SELECT sum(h.under_way) FROM held h WHERE h.tenant_id = t.tenant_id), 0)
                    + row_number() OVER (PARTITION BY t.tenant_id ORDER BY t.place, t.available_at) AS place
            FROM of_target t WHERE t.place <= p_of_target
        ), claimed AS (
            UPDATE aiaspire.notification_deliveries d
            SET lease_token = gen_random_uuid(), available_at = now() + p_lease, tries = d.tries + 1
            FROM (SELECT o.tenant_id, o.delivery_id FROM of_tenant o WHERE o.place <= p_of_tenant ORDER BY o.place, o.available_at LIMIT p_limit) picked
            -- What a worker whose lease has ended is writing down at this moment is no longer due when that is done.
            WHERE d.tenant_id = picked.tenant_id AND d.delivery_id = picked.delivery_id AND d.state = 'Pending' AND d.available_at <= now()
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
