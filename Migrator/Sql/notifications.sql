-- The outbox of notifications. Run before security.sql, which says who may call what and as whom.

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
