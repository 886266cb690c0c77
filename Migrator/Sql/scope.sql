-- Whom a session is for, from the settings that TenantSession makes for one transaction: after it current_setting(…, true) is '', hence nullif.
-- Policies and the functions of the other files ask these; run before them all, so that their bodies are checked as they are made.

CREATE OR REPLACE FUNCTION aiaspire.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;
CREATE OR REPLACE FUNCTION aiaspire.user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.user_id', true), '')::uuid;
CREATE OR REPLACE FUNCTION aiaspire.reach() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('app.reach', true);
CREATE OR REPLACE FUNCTION aiaspire.platform_id() RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00000000-0000-7000-8000-000000000001'::uuid;
