-- Whom a call belongs to, found before there is a session, and the tenants as operators see them. Run before security.sql, which says who may
-- call what and as whom.

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
