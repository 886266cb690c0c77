-- The key store: a database of its own, so that no backup of the content holds a key. Run as the owner; safe to run again.
CREATE SCHEMA IF NOT EXISTS keystore;

CREATE TABLE IF NOT EXISTS keystore.tenant_keys (
    tenant_id     uuid NOT NULL,
    key_version   integer NOT NULL CHECK (key_version > 0),
    wrapped_key   bytea NOT NULL,            -- by the master key
    master_key_id text NOT NULL,             -- which one, so that all others can be found and re-wrapped
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key_version)
);

CREATE TABLE IF NOT EXISTS keystore.user_keys (
    tenant_id          uuid NOT NULL,
    user_id            uuid NOT NULL,
    key_version        integer NOT NULL CHECK (key_version > 0),
    wrapped_key        bytea NOT NULL,       -- by the tenant key of the next column's version
    tenant_key_version integer NOT NULL,
    active_from        timestamptz NOT NULL, -- encrypts from then on: every replica has read the version before anyone uses it
    created_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, key_version),
    FOREIGN KEY (tenant_id, tenant_key_version) REFERENCES keystore.tenant_keys (tenant_id, key_version)
);

-- Says for ever that a user's key was destroyed. A copy of these rows is kept outside this database and played back into it, because a
-- restored backup brings back old keys and forgets newer tombstones.
CREATE TABLE IF NOT EXISTS keystore.tombstones (
    tenant_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    destroyed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

-- Keys with which web pages protect cookies and tokens (ASP.NET Core Data Protection): XML whose secret the master key has sealed. They
-- belong to no tenant, and lie here and not with the content for the same reason as all other keys.
CREATE TABLE IF NOT EXISTS keystore.data_protection_keys (
    key_id        uuid PRIMARY KEY,
    friendly_name text NOT NULL,
    xml           text NOT NULL,
    created_at    timestamptz NOT NULL
);

-- Which master key was current since when; each change is told to the audit log.
CREATE TABLE IF NOT EXISTS keystore.master_key_uses (
    use           integer PRIMARY KEY CHECK (use > 0),
    master_key_id text NOT NULL,
    since         timestamptz NOT NULL
);

-- own_tenant: the processes at work. maintenance: re-wrapping and the replay of tombstones, which go over all tenants and say so.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['tenant_keys', 'user_keys', 'tombstones'] LOOP
        EXECUTE format('ALTER TABLE keystore.%I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE keystore.%I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('DROP POLICY IF EXISTS own_tenant ON keystore.%I', table_name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON keystore.%I TO aiaspire_keys
                USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))
                WITH CHECK (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', table_name);
        EXECUTE format('DROP POLICY IF EXISTS maintenance ON keystore.%I', table_name);
        EXECUTE format(
            'CREATE POLICY maintenance ON keystore.%I TO aiaspire_keys, aiaspire_owner
                USING ((SELECT current_setting(''app.reach'', true)) = ''key_maintenance'')
                WITH CHECK ((SELECT current_setting(''app.reach'', true)) = ''key_maintenance'')', table_name);
    END LOOP;
    FOREACH table_name IN ARRAY ARRAY['data_protection_keys', 'master_key_uses'] LOOP
        EXECUTE format('ALTER TABLE keystore.%I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE keystore.%I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('DROP POLICY IF EXISTS maintenance ON keystore.%I', table_name);
        EXECUTE format(
            'CREATE POLICY maintenance ON keystore.%I TO aiaspire_keys
                USING ((SELECT current_setting(''app.reach'', true)) = ''key_maintenance'')
                WITH CHECK ((SELECT current_setting(''app.reach'', true)) = ''key_maintenance'')', table_name);
    END LOOP;
END
$$;

-- A key may be wrapped anew but never moved to another owner or version, and a tombstone never taken away.
GRANT USAGE ON SCHEMA keystore TO aiaspire_keys;
GRANT SELECT, INSERT, DELETE, UPDATE (wrapped_key, tenant_key_version) ON keystore.user_keys TO aiaspire_keys;
GRANT SELECT, INSERT, UPDATE (wrapped_key, master_key_id) ON keystore.tenant_keys TO aiaspire_keys;
GRANT SELECT, INSERT ON keystore.tombstones TO aiaspire_keys;
GRANT SELECT, INSERT, UPDATE (xml) ON keystore.data_protection_keys TO aiaspire_keys;
GRANT SELECT, INSERT ON keystore.master_key_uses TO aiaspire_keys;
