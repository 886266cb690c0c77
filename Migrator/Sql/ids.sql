-- Ids are UUIDv7: times of rows, and the partitions to look in, come from them. Run before the files whose functions ask for that.

-- In PL/pgSQL, because the settlements' triggers ask it in their WHEN: a function in SQL is read, put in its caller's place and planned anew for each
-- statement, which was a twentieth of a settlement.
CREATE OR REPLACE FUNCTION aiaspire.least_id(p_time timestamptz) RETURNS uuid LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (lpad(to_hex(floor(extract(epoch FROM p_time) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;
END
$$;
CREATE OR REPLACE FUNCTION aiaspire.id_minute(p_id uuid) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_timestamp((('x' || left(replace(p_id::text, '-', ''), 12))::bit(48)::bigint / 60000) * 60);
