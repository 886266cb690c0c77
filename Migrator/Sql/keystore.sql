-- The key store: a database of its own, so that no backup of the content holds a key. Run as the owner; safe to run again.
CREATE SCHEMA IF NOT EXISTS keystore;

CREATE TABLE IF NOT EXISTS keystore.tenant_keys (
    tenant_id     uuid PRIMARY KEY,
    wrapped_key   bytea NOT NULL,       -- by the master key
    master_key_id text NOT NULL,
    created_at    timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS keystore.user_keys (
    tenant_id   uuid NOT NULL,
    user_id     uuid NOT NULL,
    wrapped_key bytea NOT NULL,         -- by the tenant key
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

-- Says for ever that a user's key was destroyed; a restored backup of user_keys does not bring it back.
CREATE TABLE IF NOT EXISTS keystore.tombstones (
    tenant_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    destroyed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

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
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA keystore TO aiaspire_keys;
GRANT SELECT, INSERT, DELETE ON keystore.user_keys TO aiaspire_keys;
GRANT SELECT, INSERT ON keystore.tenant_keys, keystore.tombstones TO aiaspire_keys;
