using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace AiAspire.Migrator.Migrations
{
    /// <inheritdoc />
    public partial class Initial : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.EnsureSchema(
                name: "aiaspire");

            migrationBuilder.CreateTable(
                name: "audit_entries",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    sequence = table.Column<long>(type: "bigint", nullable: false),
                    entry_id = table.Column<Guid>(type: "uuid", nullable: false),
                    at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    actor_kind = table.Column<string>(type: "text", nullable: false),
                    actor_id = table.Column<string>(type: "text", nullable: true),
                    action = table.Column<string>(type: "text", nullable: false),
                    target_kind = table.Column<string>(type: "text", nullable: true),
                    target_id = table.Column<string>(type: "text", nullable: true),
                    request_id = table.Column<Guid>(type: "uuid", nullable: true),
                    details = table.Column<string>(type: "jsonb", nullable: false),
                    prev_hash = table.Column<byte[]>(type: "bytea", nullable: false),
                    hash = table.Column<byte[]>(type: "bytea", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("audit_entries_pkey", x => new { x.tenant_id, x.sequence });
                });

            migrationBuilder.CreateTable(
                name: "audit_heads",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    sequence = table.Column<long>(type: "bigint", nullable: false),
                    hash = table.Column<byte[]>(type: "bytea", nullable: false),
                    at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    signed_sequence = table.Column<long>(type: "bigint", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("audit_heads_pkey", x => x.tenant_id);
                });

            migrationBuilder.CreateTable(
                name: "budgets",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    budget_id = table.Column<Guid>(type: "uuid", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    scope = table.Column<string>(type: "text", nullable: false),
                    selector = table.Column<string>(type: "text", nullable: true),
                    unit = table.Column<string>(type: "text", nullable: false),
                    period = table.Column<string>(type: "text", nullable: false),
                    limit = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    soft_percent = table.Column<int>(type: "integer", nullable: true),
                    action = table.Column<string>(type: "text", nullable: false),
                    changed_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("budgets_pkey", x => new { x.tenant_id, x.budget_id });
                });

            migrationBuilder.CreateTable(
                name: "catalog_entries",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    model_id = table.Column<string>(type: "text", nullable: false),
                    version = table.Column<int>(type: "integer", nullable: false),
                    removed = table.Column<bool>(type: "boolean", nullable: false),
                    provider = table.Column<string>(type: "text", nullable: false),
                    upstream_model = table.Column<string>(type: "text", nullable: true),
                    kind = table.Column<string>(type: "text", nullable: false),
                    vector_space = table.Column<string>(type: "text", nullable: true),
                    context_window = table.Column<int>(type: "integer", nullable: false),
                    max_output_tokens = table.Column<int>(type: "integer", nullable: false),
                    requests_per_minute = table.Column<int>(type: "integer", nullable: true),
                    tokens_per_minute = table.Column<int>(type: "integer", nullable: true),
                    capabilities = table.Column<string[]>(type: "text[]", nullable: true),
                    aliases = table.Column<string[]>(type: "text[]", nullable: false),
                    released = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    deprecated_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    sunset_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    replacement = table.Column<string>(type: "text", nullable: true),
                    changed_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    changed_by = table.Column<string>(type: "text", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("catalog_entries_pkey", x => new { x.tenant_id, x.model_id, x.version });
                });

            migrationBuilder.CreateTable(
                name: "job_events",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    job_id = table.Column<Guid>(type: "uuid", nullable: false),
                    sequence = table.Column<long>(type: "bigint", nullable: false),
                    data = table.Column<byte[]>(type: "bytea", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("job_events_pkey", x => new { x.tenant_id, x.user_id, x.job_id, x.sequence });
                });

            migrationBuilder.CreateTable(
                name: "job_history",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    job_id = table.Column<Guid>(type: "uuid", nullable: false),
                    kind = table.Column<string>(type: "text", nullable: false),
                    state = table.Column<string>(type: "text", nullable: false),
                    part_of = table.Column<Guid>(type: "uuid", nullable: true),
                    priority = table.Column<short>(type: "smallint", nullable: false),
                    tries = table.Column<int>(type: "integer", nullable: false),
                    failures = table.Column<int>(type: "integer", nullable: false),
                    max_tries = table.Column<int>(type: "integer", nullable: false),
                    max_cost = table.Column<decimal>(type: "numeric(18,9)", nullable: true),
                    cost = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    payload = table.Column<byte[]>(type: "bytea", nullable: true),
                    result = table.Column<byte[]>(type: "bytea", nullable: true),
                    error_code = table.Column<string>(type: "text", nullable: true),
                    error_message = table.Column<string>(type: "text", nullable: true),
                    trace_parent = table.Column<string>(type: "text", nullable: true),
                    lease_token = table.Column<Guid>(type: "uuid", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("job_history_pkey", x => new { x.tenant_id, x.user_id, x.job_id });
                });

            migrationBuilder.CreateTable(
                name: "job_parts",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    work_id = table.Column<Guid>(type: "uuid", nullable: false),
                    part = table.Column<int>(type: "integer", nullable: false),
                    request_id = table.Column<Guid>(type: "uuid", nullable: false),
                    succeeded = table.Column<bool>(type: "boolean", nullable: false),
                    cost = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    data = table.Column<byte[]>(type: "bytea", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("job_parts_pkey", x => new { x.tenant_id, x.user_id, x.work_id, x.part });
                });

            migrationBuilder.CreateTable(
                name: "jobs",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    job_id = table.Column<Guid>(type: "uuid", nullable: false),
                    kind = table.Column<string>(type: "text", nullable: false),
                    state = table.Column<string>(type: "text", nullable: false),
                    priority = table.Column<short>(type: "smallint", nullable: false),
                    available_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    deadline = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    part_of = table.Column<Guid>(type: "uuid", nullable: true),
                    unique_key = table.Column<string>(type: "text", nullable: true),
                    tries = table.Column<int>(type: "integer", nullable: false),
                    failures = table.Column<int>(type: "integer", nullable: false),
                    snoozes = table.Column<int>(type: "integer", nullable: false),
                    lost_leases = table.Column<int>(type: "integer", nullable: false),
                    max_tries = table.Column<int>(type: "integer", nullable: false),
                    max_cost = table.Column<decimal>(type: "numeric(18,9)", nullable: true),
                    lease_token = table.Column<Guid>(type: "uuid", nullable: true),
                    lease_until = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    worker = table.Column<string>(type: "text", nullable: true),
                    claimed_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    cancel_requested = table.Column<bool>(type: "boolean", nullable: false),
                    progress = table.Column<double>(type: "double precision", nullable: true),
                    payload = table.Column<byte[]>(type: "bytea", nullable: false),
                    error_code = table.Column<string>(type: "text", nullable: true),
                    trace_parent = table.Column<string>(type: "text", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("jobs_pkey", x => new { x.tenant_id, x.user_id, x.job_id });
                });

            migrationBuilder.CreateTable(
                name: "kill_switches",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    scope = table.Column<string>(type: "text", nullable: false),
                    engaged = table.Column<bool>(type: "boolean", nullable: false),
                    reason = table.Column<string>(type: "text", nullable: true),
                    until = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    changed_by = table.Column<string>(type: "text", nullable: false),
                    changed_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("kill_switches_pkey", x => new { x.tenant_id, x.scope });
                });

            migrationBuilder.CreateTable(
                name: "ledger_attempts",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    attempt_id = table.Column<Guid>(type: "uuid", nullable: false),
                    request_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_pseudonym = table.Column<Guid>(type: "uuid", nullable: false),
                    number = table.Column<int>(type: "integer", nullable: false),
                    feature = table.Column<string>(type: "text", nullable: false),
                    tier = table.Column<string>(type: "text", nullable: false),
                    provider = table.Column<string>(type: "text", nullable: false),
                    model = table.Column<string>(type: "text", nullable: false),
                    upstream_model = table.Column<string>(type: "text", nullable: false),
                    price_id = table.Column<Guid>(type: "uuid", nullable: false),
                    outcome = table.Column<string>(type: "text", nullable: false),
                    status_code = table.Column<int>(type: "integer", nullable: true),
                    error_code = table.Column<string>(type: "text", nullable: true),
                    usage_source = table.Column<string>(type: "text", nullable: true),
                    estimated_input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    reserved_output_tokens = table.Column<long>(type: "bigint", nullable: false),
                    input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    cached_input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    cache_write_tokens = table.Column<long>(type: "bigint", nullable: false),
                    output_tokens = table.Column<long>(type: "bigint", nullable: false),
                    reasoning_tokens = table.Column<long>(type: "bigint", nullable: false),
                    provider_cost = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    provider_request_id = table.Column<string>(type: "text", nullable: true),
                    opened_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    lease_until = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    settled_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    latency_ms = table.Column<double>(type: "double precision", nullable: true),
                    first_token_ms = table.Column<double>(type: "double precision", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("ledger_attempts_pkey", x => new { x.tenant_id, x.attempt_id });
                });

            migrationBuilder.CreateTable(
                name: "ledger_requests",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    request_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_pseudonym = table.Column<Guid>(type: "uuid", nullable: false),
                    api_key_id = table.Column<Guid>(type: "uuid", nullable: true),
                    conversation_id = table.Column<Guid>(type: "uuid", nullable: true),
                    feature = table.Column<string>(type: "text", nullable: false),
                    tier = table.Column<string>(type: "text", nullable: false),
                    requested_model = table.Column<string>(type: "text", nullable: false),
                    model = table.Column<string>(type: "text", nullable: true),
                    provider = table.Column<string>(type: "text", nullable: true),
                    outcome = table.Column<string>(type: "text", nullable: false),
                    stream = table.Column<bool>(type: "boolean", nullable: false),
                    attempts = table.Column<int>(type: "integer", nullable: false),
                    input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    cached_input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    cache_write_tokens = table.Column<long>(type: "bigint", nullable: false),
                    output_tokens = table.Column<long>(type: "bigint", nullable: false),
                    reasoning_tokens = table.Column<long>(type: "bigint", nullable: false),
                    provider_cost = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    charged_cost = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    cache_hit = table.Column<bool>(type: "boolean", nullable: false),
                    saved_cost = table.Column<decimal>(type: "numeric(18,9)", nullable: false),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    latency_ms = table.Column<double>(type: "double precision", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("ledger_requests_pkey", x => new { x.tenant_id, x.request_id });
                });

            migrationBuilder.CreateTable(
                name: "model_prices",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    price_id = table.Column<Guid>(type: "uuid", nullable: false),
                    provider = table.Column<string>(type: "text", nullable: false),
                    upstream_model = table.Column<string>(type: "text", nullable: false),
                    effective_from = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    input = table.Column<decimal>(type: "numeric(18,6)", nullable: false),
                    cached_input = table.Column<decimal>(type: "numeric(18,6)", nullable: false),
                    cache_write = table.Column<decimal>(type: "numeric(18,6)", nullable: false),
                    output = table.Column<decimal>(type: "numeric(18,6)", nullable: false),
                    reasoning = table.Column<decimal>(type: "numeric(18,6)", nullable: false),
                    long_context = table.Column<string>(type: "jsonb", nullable: false),
                    source = table.Column<string>(type: "text", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    created_by = table.Column<string>(type: "text", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("model_prices_pkey", x => new { x.tenant_id, x.price_id });
                });

            migrationBuilder.CreateTable(
                name: "notification_settings",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    emails = table.Column<string[]>(type: "text[]", nullable: false),
                    topics = table.Column<string[]>(type: "text[]", nullable: false),
                    changed_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("notification_settings_pkey", x => x.tenant_id);
                });

            migrationBuilder.CreateTable(
                name: "notification_webhooks",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    webhook_id = table.Column<Guid>(type: "uuid", nullable: false),
                    url = table.Column<string>(type: "text", nullable: false),
                    topics = table.Column<string[]>(type: "text[]", nullable: false),
                    secret = table.Column<byte[]>(type: "bytea", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("notification_webhooks_pkey", x => new { x.tenant_id, x.webhook_id });
                });

            migrationBuilder.CreateTable(
                name: "notifications",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    notification_id = table.Column<Guid>(type: "uuid", nullable: false),
                    dedup_key = table.Column<string>(type: "text", nullable: false),
                    topic = table.Column<string>(type: "text", nullable: false),
                    subject = table.Column<string>(type: "text", nullable: false),
                    text = table.Column<string>(type: "text", nullable: false),
                    data = table.Column<string>(type: "jsonb", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("notifications_pkey", x => new { x.tenant_id, x.notification_id });
                });

            migrationBuilder.CreateTable(
                name: "on_call_contacts",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    position = table.Column<int>(type: "integer", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    email = table.Column<string>(type: "text", nullable: false),
                    shift_starts = table.Column<int[]>(type: "integer[]", nullable: false),
                    shift_ends = table.Column<int[]>(type: "integer[]", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("on_call_contacts_pkey", x => new { x.tenant_id, x.position });
                });

            migrationBuilder.CreateTable(
                name: "provider_keys",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    provider_key_id = table.Column<Guid>(type: "uuid", nullable: false),
                    provider = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    ciphertext = table.Column<byte[]>(type: "bytea", nullable: false),
                    hint = table.Column<string>(type: "text", nullable: false),
                    requests_per_minute = table.Column<int>(type: "integer", nullable: true),
                    tokens_per_minute = table.Column<int>(type: "integer", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    retires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    last_used_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("provider_keys_pkey", x => new { x.tenant_id, x.provider_key_id });
                });

            migrationBuilder.CreateTable(
                name: "provider_minutes",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    provider = table.Column<string>(type: "text", nullable: false),
                    minute = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    source = table.Column<string>(type: "text", nullable: false),
                    total = table.Column<int>(type: "integer", nullable: false),
                    failed = table.Column<int>(type: "integer", nullable: false),
                    last_error = table.Column<string>(type: "text", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("provider_minutes_pkey", x => new { x.tenant_id, x.provider, x.minute, x.source });
                });

            migrationBuilder.CreateTable(
                name: "schedule_runs",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    run_id = table.Column<Guid>(type: "uuid", nullable: false),
                    schedule = table.Column<string>(type: "text", nullable: false),
                    trigger = table.Column<string>(type: "text", nullable: false),
                    state = table.Column<string>(type: "text", nullable: false),
                    due_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    worker = table.Column<string>(type: "text", nullable: true),
                    started_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    error = table.Column<string>(type: "text", nullable: true),
                    report = table.Column<string>(type: "jsonb", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("schedule_runs_pkey", x => new { x.tenant_id, x.run_id });
                });

            migrationBuilder.CreateTable(
                name: "schedules",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    cron = table.Column<string>(type: "text", nullable: false),
                    next_run_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("schedules_pkey", x => new { x.tenant_id, x.name });
                });

            migrationBuilder.CreateTable(
                name: "tenants",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    slug = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    plan = table.Column<string>(type: "text", nullable: false),
                    status = table.Column<string>(type: "text", nullable: false),
                    tokens_per_day = table.Column<long>(type: "bigint", nullable: true),
                    tokens_per_minute = table.Column<long>(type: "bigint", nullable: true),
                    retention_days = table.Column<int>(type: "integer", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("tenants_pkey", x => x.tenant_id);
                });

            migrationBuilder.CreateTable(
                name: "usage_late_marks",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    mark_id = table.Column<Guid>(type: "uuid", nullable: false),
                    minute = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("usage_late_marks_pkey", x => new { x.tenant_id, x.mark_id });
                });

            migrationBuilder.CreateTable(
                name: "usage_progress",
                schema: "aiaspire",
                columns: table => new
                {
                    name = table.Column<string>(type: "text", nullable: false),
                    through = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("usage_progress_pkey", x => x.name);
                });

            migrationBuilder.CreateTable(
                name: "usage_rollups",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    width = table.Column<string>(type: "text", nullable: false),
                    bucket = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    feature = table.Column<string>(type: "text", nullable: false),
                    model = table.Column<string>(type: "text", nullable: false),
                    provider = table.Column<string>(type: "text", nullable: false),
                    tier = table.Column<string>(type: "text", nullable: false),
                    requests = table.Column<long>(type: "bigint", nullable: false),
                    failed_requests = table.Column<long>(type: "bigint", nullable: false),
                    aborted_requests = table.Column<long>(type: "bigint", nullable: false),
                    abandoned_requests = table.Column<long>(type: "bigint", nullable: false),
                    attempts = table.Column<long>(type: "bigint", nullable: false),
                    rate_limited = table.Column<long>(type: "bigint", nullable: false),
                    server_errors = table.Column<long>(type: "bigint", nullable: false),
                    timeouts = table.Column<long>(type: "bigint", nullable: false),
                    refused = table.Column<long>(type: "bigint", nullable: false),
                    other_errors = table.Column<long>(type: "bigint", nullable: false),
                    input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    cached_input_tokens = table.Column<long>(type: "bigint", nullable: false),
                    cache_write_tokens = table.Column<long>(type: "bigint", nullable: false),
                    output_tokens = table.Column<long>(type: "bigint", nullable: false),
                    reasoning_tokens = table.Column<long>(type: "bigint", nullable: false),
                    charged_cost = table.Column<decimal>(type: "numeric(24,9)", nullable: false),
                    provider_cost = table.Column<decimal>(type: "numeric(24,9)", nullable: false),
                    estimated_cost = table.Column<decimal>(type: "numeric(24,9)", nullable: false),
                    cache_savings = table.Column<decimal>(type: "numeric(24,9)", nullable: false),
                    latency_ms = table.Column<decimal>(type: "numeric(24,3)", nullable: false),
                    latency_counts = table.Column<long[]>(type: "bigint[]", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("usage_rollups_pkey", x => new { x.tenant_id, x.width, x.bucket, x.feature, x.model, x.provider, x.tier });
                });

            migrationBuilder.CreateTable(
                name: "notification_deliveries",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    delivery_id = table.Column<Guid>(type: "uuid", nullable: false),
                    notification_id = table.Column<Guid>(type: "uuid", nullable: false),
                    channel = table.Column<string>(type: "text", nullable: false),
                    target = table.Column<string>(type: "text", nullable: false),
                    state = table.Column<string>(type: "text", nullable: false),
                    tries = table.Column<int>(type: "integer", nullable: false),
                    available_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    lease_token = table.Column<Guid>(type: "uuid", nullable: true),
                    last_error = table.Column<string>(type: "text", nullable: true),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("notification_deliveries_pkey", x => new { x.tenant_id, x.delivery_id });
                    table.ForeignKey(
                        name: "notification_deliveries_tenant_id_notification_id_fkey",
                        columns: x => new { x.tenant_id, x.notification_id },
                        principalSchema: "aiaspire",
                        principalTable: "notifications",
                        principalColumns: new[] { "tenant_id", "notification_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "tiers",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    name = table.Column<string>(type: "text", nullable: false),
                    models = table.Column<string[]>(type: "text[]", nullable: false),
                    features = table.Column<string[]>(type: "text[]", nullable: false),
                    tokens_per_day = table.Column<long>(type: "bigint", nullable: true),
                    default_max_output_tokens = table.Column<int>(type: "integer", nullable: false),
                    is_default = table.Column<bool>(type: "boolean", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("tiers_pkey", x => new { x.tenant_id, x.name });
                    table.ForeignKey(
                        name: "tiers_tenant_id_fkey",
                        column: x => x.tenant_id,
                        principalSchema: "aiaspire",
                        principalTable: "tenants",
                        principalColumn: "tenant_id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "users",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    external_id = table.Column<string>(type: "text", nullable: false),
                    tier = table.Column<string>(type: "text", nullable: false),
                    roles = table.Column<string[]>(type: "text[]", nullable: false),
                    status = table.Column<string>(type: "text", nullable: false),
                    pseudonym = table.Column<Guid>(type: "uuid", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    erased_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("users_pkey", x => new { x.tenant_id, x.user_id });
                    table.ForeignKey(
                        name: "users_tenant_id_fkey",
                        column: x => x.tenant_id,
                        principalSchema: "aiaspire",
                        principalTable: "tenants",
                        principalColumn: "tenant_id",
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "api_keys",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    api_key_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: true),
                    name = table.Column<string>(type: "text", nullable: false),
                    hash = table.Column<byte[]>(type: "bytea", nullable: false),
                    prefix = table.Column<string>(type: "text", nullable: false),
                    scopes = table.Column<string[]>(type: "text[]", nullable: false),
                    expires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    revoked_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    last_used_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("api_keys_pkey", x => new { x.tenant_id, x.api_key_id });
                    table.ForeignKey(
                        name: "api_keys_tenant_id_fkey",
                        column: x => x.tenant_id,
                        principalSchema: "aiaspire",
                        principalTable: "tenants",
                        principalColumn: "tenant_id",
                        onDelete: ReferentialAction.Cascade);
                    table.ForeignKey(
                        name: "api_keys_tenant_id_user_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id },
                        principalSchema: "aiaspire",
                        principalTable: "users",
                        principalColumns: new[] { "tenant_id", "user_id" });
                });

            migrationBuilder.CreateTable(
                name: "batches",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    batch_id = table.Column<Guid>(type: "uuid", nullable: false),
                    endpoint = table.Column<string>(type: "text", nullable: false),
                    state = table.Column<string>(type: "text", nullable: false),
                    input_file_id = table.Column<Guid>(type: "uuid", nullable: false),
                    output_file_id = table.Column<Guid>(type: "uuid", nullable: true),
                    error_file_id = table.Column<Guid>(type: "uuid", nullable: true),
                    metadata = table.Column<byte[]>(type: "bytea", nullable: true),
                    errors = table.Column<byte[]>(type: "bytea", nullable: true),
                    total = table.Column<int>(type: "integer", nullable: true),
                    completed = table.Column<int>(type: "integer", nullable: true),
                    failed = table.Column<int>(type: "integer", nullable: true),
                    cost = table.Column<decimal>(type: "numeric(18,9)", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    expires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    in_progress_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    finalizing_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    cancelling_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true),
                    finished_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("batches_pkey", x => new { x.tenant_id, x.user_id, x.batch_id });
                    table.ForeignKey(
                        name: "batches_tenant_id_user_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id },
                        principalSchema: "aiaspire",
                        principalTable: "users",
                        principalColumns: new[] { "tenant_id", "user_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "conversations",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    conversation_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    feature = table.Column<string>(type: "text", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    last_message_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("conversations_pkey", x => new { x.tenant_id, x.user_id, x.conversation_id });
                    table.ForeignKey(
                        name: "conversations_tenant_id_user_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id },
                        principalSchema: "aiaspire",
                        principalTable: "users",
                        principalColumns: new[] { "tenant_id", "user_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "feedback",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    feedback_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    request_id = table.Column<Guid>(type: "uuid", nullable: false),
                    rating = table.Column<int>(type: "integer", nullable: false),
                    comment = table.Column<byte[]>(type: "bytea", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("feedback_pkey", x => new { x.tenant_id, x.user_id, x.feedback_id });
                    table.ForeignKey(
                        name: "feedback_tenant_id_user_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id },
                        principalSchema: "aiaspire",
                        principalTable: "users",
                        principalColumns: new[] { "tenant_id", "user_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "files",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    file_id = table.Column<Guid>(type: "uuid", nullable: false),
                    purpose = table.Column<string>(type: "text", nullable: false),
                    name = table.Column<byte[]>(type: "bytea", nullable: false),
                    bytes = table.Column<long>(type: "bigint", nullable: false),
                    is_ready = table.Column<bool>(type: "boolean", nullable: false),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    expires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("files_pkey", x => new { x.tenant_id, x.user_id, x.file_id });
                    table.ForeignKey(
                        name: "files_tenant_id_user_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id },
                        principalSchema: "aiaspire",
                        principalTable: "users",
                        principalColumns: new[] { "tenant_id", "user_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "idempotency_keys",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    route = table.Column<string>(type: "text", nullable: false),
                    key = table.Column<string>(type: "text", nullable: false),
                    fingerprint = table.Column<byte[]>(type: "bytea", nullable: false),
                    request_id = table.Column<Guid>(type: "uuid", nullable: false),
                    lease_until = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false),
                    response = table.Column<byte[]>(type: "bytea", nullable: true),
                    expires_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("idempotency_keys_pkey", x => new { x.tenant_id, x.user_id, x.route, x.key });
                    table.ForeignKey(
                        name: "idempotency_keys_tenant_id_user_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id },
                        principalSchema: "aiaspire",
                        principalTable: "users",
                        principalColumns: new[] { "tenant_id", "user_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "messages",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    conversation_id = table.Column<Guid>(type: "uuid", nullable: false),
                    message_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    request_id = table.Column<Guid>(type: "uuid", nullable: false),
                    role = table.Column<string>(type: "text", nullable: false),
                    content = table.Column<byte[]>(type: "bytea", nullable: false),
                    model = table.Column<string>(type: "text", nullable: true),
                    created_at = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("messages_pkey", x => new { x.tenant_id, x.user_id, x.conversation_id, x.message_id });
                    table.ForeignKey(
                        name: "messages_tenant_id_user_id_conversation_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id, x.conversation_id },
                        principalSchema: "aiaspire",
                        principalTable: "conversations",
                        principalColumns: new[] { "tenant_id", "user_id", "conversation_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateTable(
                name: "file_chunks",
                schema: "aiaspire",
                columns: table => new
                {
                    tenant_id = table.Column<Guid>(type: "uuid", nullable: false),
                    user_id = table.Column<Guid>(type: "uuid", nullable: false),
                    file_id = table.Column<Guid>(type: "uuid", nullable: false),
                    start = table.Column<long>(type: "bigint", nullable: false),
                    data = table.Column<byte[]>(type: "bytea", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("file_chunks_pkey", x => new { x.tenant_id, x.user_id, x.file_id, x.start });
                    table.ForeignKey(
                        name: "file_chunks_tenant_id_user_id_file_id_fkey",
                        columns: x => new { x.tenant_id, x.user_id, x.file_id },
                        principalSchema: "aiaspire",
                        principalTable: "files",
                        principalColumns: new[] { "tenant_id", "user_id", "file_id" },
                        onDelete: ReferentialAction.Cascade);
                });

            migrationBuilder.CreateIndex(
                name: "api_keys_hash_key",
                schema: "aiaspire",
                table: "api_keys",
                column: "hash",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "api_keys_tenant_id_user_id_idx",
                schema: "aiaspire",
                table: "api_keys",
                columns: new[] { "tenant_id", "user_id" });

            migrationBuilder.CreateIndex(
                name: "audit_entries_tenant_id_action_sequence_idx",
                schema: "aiaspire",
                table: "audit_entries",
                columns: new[] { "tenant_id", "action", "sequence" });

            migrationBuilder.CreateIndex(
                name: "audit_entries_tenant_id_entry_id_key",
                schema: "aiaspire",
                table: "audit_entries",
                columns: new[] { "tenant_id", "entry_id" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "batches_tenant_id_user_id_input_file_id_idx",
                schema: "aiaspire",
                table: "batches",
                columns: new[] { "tenant_id", "user_id", "input_file_id" });

            migrationBuilder.CreateIndex(
                name: "budgets_tenant_id_name_key",
                schema: "aiaspire",
                table: "budgets",
                columns: new[] { "tenant_id", "name" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "conversations_tenant_id_last_message_at_idx",
                schema: "aiaspire",
                table: "conversations",
                columns: new[] { "tenant_id", "last_message_at" });

            migrationBuilder.CreateIndex(
                name: "feedback_tenant_id_user_id_request_id_key",
                schema: "aiaspire",
                table: "feedback",
                columns: new[] { "tenant_id", "user_id", "request_id" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "idempotency_keys_tenant_id_expires_at_idx",
                schema: "aiaspire",
                table: "idempotency_keys",
                columns: new[] { "tenant_id", "expires_at" });

            migrationBuilder.CreateIndex(
                name: "jobs_available_at_idx",
                schema: "aiaspire",
                table: "jobs",
                column: "available_at",
                filter: "state = 'Scheduled'");

            migrationBuilder.CreateIndex(
                name: "jobs_claimed_at_idx",
                schema: "aiaspire",
                table: "jobs",
                column: "claimed_at",
                filter: "state = 'Running'");

            migrationBuilder.CreateIndex(
                name: "jobs_tenant_id_priority_available_at_idx",
                schema: "aiaspire",
                table: "jobs",
                columns: new[] { "tenant_id", "priority", "available_at" },
                filter: "state = 'Queued'");

            migrationBuilder.CreateIndex(
                name: "jobs_tenant_id_user_id_part_of_idx",
                schema: "aiaspire",
                table: "jobs",
                columns: new[] { "tenant_id", "user_id", "part_of" },
                filter: "part_of IS NOT NULL");

            migrationBuilder.CreateIndex(
                name: "jobs_tenant_id_user_id_unique_key_key",
                schema: "aiaspire",
                table: "jobs",
                columns: new[] { "tenant_id", "user_id", "unique_key" },
                unique: true,
                filter: "unique_key IS NOT NULL");

            migrationBuilder.CreateIndex(
                name: "ledger_attempts_tenant_id_request_id_idx",
                schema: "aiaspire",
                table: "ledger_attempts",
                columns: new[] { "tenant_id", "request_id" });

            migrationBuilder.CreateIndex(
                name: "model_prices_tenant_id_provider_upstream_model_effective_from_key",
                schema: "aiaspire",
                table: "model_prices",
                columns: new[] { "tenant_id", "provider", "upstream_model", "effective_from" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "notification_deliveries_tenant_id_available_at_idx",
                schema: "aiaspire",
                table: "notification_deliveries",
                columns: new[] { "tenant_id", "available_at" },
                filter: "state = 'Pending'");

            migrationBuilder.CreateIndex(
                name: "notification_deliveries_tenant_id_notification_id_idx",
                schema: "aiaspire",
                table: "notification_deliveries",
                columns: new[] { "tenant_id", "notification_id" });

            migrationBuilder.CreateIndex(
                name: "notifications_tenant_id_dedup_key_key",
                schema: "aiaspire",
                table: "notifications",
                columns: new[] { "tenant_id", "dedup_key" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "schedule_runs_tenant_id_schedule_due_at_key",
                schema: "aiaspire",
                table: "schedule_runs",
                columns: new[] { "tenant_id", "schedule", "due_at" },
                unique: true,
                filter: "trigger = 'Schedule'");

            migrationBuilder.CreateIndex(
                name: "schedule_runs_tenant_id_schedule_key",
                schema: "aiaspire",
                table: "schedule_runs",
                columns: new[] { "tenant_id", "schedule" },
                unique: true,
                filter: "state IN ('Requested', 'Queued')");

            migrationBuilder.CreateIndex(
                name: "schedule_runs_tenant_id_schedule_run_id_idx",
                schema: "aiaspire",
                table: "schedule_runs",
                columns: new[] { "tenant_id", "schedule", "run_id" });

            migrationBuilder.CreateIndex(
                name: "tenants_slug_key",
                schema: "aiaspire",
                table: "tenants",
                column: "slug",
                unique: true);

            migrationBuilder.CreateIndex(
                name: "users_tenant_id_external_id_key",
                schema: "aiaspire",
                table: "users",
                columns: new[] { "tenant_id", "external_id" },
                unique: true);

            PartitionedTables.Convert(migrationBuilder, "ledger_attempts", "attempt_id", "request_id");
            PartitionedTables.Convert(migrationBuilder, "ledger_requests", "request_id");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "api_keys",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "audit_entries",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "audit_heads",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "batches",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "budgets",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "catalog_entries",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "feedback",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "file_chunks",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "idempotency_keys",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "job_events",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "job_history",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "job_parts",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "jobs",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "kill_switches",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "ledger_attempts",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "ledger_requests",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "messages",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "model_prices",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "notification_deliveries",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "notification_settings",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "notification_webhooks",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "on_call_contacts",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "provider_keys",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "provider_minutes",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "schedule_runs",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "schedules",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "tiers",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "usage_late_marks",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "usage_progress",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "usage_rollups",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "files",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "conversations",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "notifications",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "users",
                schema: "aiaspire");

            migrationBuilder.DropTable(
                name: "tenants",
                schema: "aiaspire");
        }
    }
}
