-- The audit log's hash chains. Run before security.sql, which says who may call what and as whom.

-- One field of an audit entry as it is hashed: its length, then its bytes; length -1 for null. The same in C#: Core/Audit/AuditEncoding.cs.
CREATE OR REPLACE FUNCTION aiaspire.audit_field(p_value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog
    AS $$ SELECT CASE WHEN p_value IS NULL THEN int4send(-1) ELSE int4send(length(p_value)) || p_value END $$;

-- The only way to write an audit entry, and only into the chain of the session's tenant. The head's row lock is held until the
-- transaction ends, so two appends come one after the other and the second sees the first. Appending an entry again does nothing.
CREATE OR REPLACE FUNCTION aiaspire.append_audit(
    p_entry uuid, p_actor_kind text, p_actor text, p_action text, p_target_kind text, p_target text, p_request uuid, p_details jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    v_tenant uuid := aiaspire.tenant_id();
    v_sequence bigint;
    v_prev bytea;
    v_at timestamptz;
    v_hash bytea;
BEGIN
    IF v_tenant IS NULL THEN
        RAISE EXCEPTION 'an audit entry needs the tenant of a session' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO aiaspire.audit_heads (tenant_id, sequence, hash, at, signed_sequence)
        VALUES (v_tenant, 0, decode(repeat('00', 32), 'hex'), now(), 0) ON CONFLICT DO NOTHING;
    SELECT h.sequence + 1, h.hash INTO v_sequence, v_prev FROM aiaspire.audit_heads h WHERE h.tenant_id = v_tenant FOR UPDATE;
    IF EXISTS (SELECT FROM aiaspire.audit_entries e WHERE e.tenant_id = v_tenant AND e.entry_id = p_entry) THEN
        RETURN;
    END IF;
    -- Read under the lock, so that times rise with the sequence.
    v_at := clock_timestamp();
    v_hash := sha256('\x01'::bytea
        || aiaspire.audit_field(uuid_send(v_tenant))
        || aiaspire.audit_field(int8send(v_sequence))
        || aiaspire.audit_field(uuid_send(p_entry))
        || aiaspire.audit_field(int8send((extract(epoch FROM v_at) * 1000000)::bigint))
        || aiaspire.audit_field(convert_to(p_actor_kind, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_actor, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_action, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_target_kind, 'UTF8'))
        || aiaspire.audit_field(convert_to(p_target, 'UTF8'))
        || aiaspire.audit_field(uuid_send(p_request))
        || aiaspire.audit_field(convert_to(p_details::text, 'UTF8'))
        || aiaspire.audit_field(v_prev));
    INSERT INTO aiaspire.audit_entries
        (tenant_id, sequence, entry_id, at, actor_kind, actor_id, action, target_kind, target_id, request_id, details, prev_hash, hash)
        VALUES (v_tenant, v_sequence, p_entry, v_at, p_actor_kind, p_actor, p_action, p_target_kind, p_target, p_request, p_details, v_prev, v_hash);
    UPDATE aiaspire.audit_heads SET sequence = v_sequence, hash = v_hash, at = v_at WHERE tenant_id = v_tenant;
    IF v_sequence % 64 = 0 THEN
        PERFORM pg_notify('aiaspire_changes', 'audit_heads'); -- many at once: have the head signed now
    END IF;
END
$$;

-- Heads are signed by a service that serves all tenants; a head says how many entries there are and nothing of what they tell.
CREATE OR REPLACE FUNCTION aiaspire.audit_heads_since(p_since timestamptz) RETURNS TABLE (tenant_id uuid, sequence bigint, hash bytea, signed_sequence bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        SELECT h.tenant_id, h.sequence, h.hash, h.signed_sequence FROM aiaspire.audit_heads h WHERE h.at >= p_since AND h.sequence > 0;
    $$;

-- Up to where the session's chain has a head signed outside the database. It only rises: a heads file that is gone shows by it.
CREATE OR REPLACE FUNCTION aiaspire.note_signed_head(p_sequence bigint) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
    AS $$
        UPDATE aiaspire.audit_heads h SET signed_sequence = p_sequence
        WHERE h.tenant_id = aiaspire.tenant_id() AND h.signed_sequence < p_sequence AND p_sequence <= h.sequence;
    $$;
