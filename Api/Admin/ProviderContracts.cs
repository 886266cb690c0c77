namespace AiAspire.Api.Admin;

/// <param name="State"><c>up</c>, <c>degraded</c> (some targets' breakers are open), <c>down</c> (all are, or the last probe failed) or <c>no_key</c>; as the answering replica sees it.</param>
/// <param name="SlaPercent">What the provider promises; null: nothing.</param>
/// <param name="OldestKeyAgeDays">Of the keys added by API and in use; the configured key's age nobody knows.</param>
/// <param name="LastProbeError">Null when the last probe succeeded, or none was made yet.</param>
public sealed record ProviderResponse(
    string Name,
    string Object,
    string Company,
    string Wire,
    string State,
    double? SlaPercent,
    IReadOnlyList<ProviderUptimeResponse> Uptime,
    DateTimeOffset? LastProbeAt,
    string? LastProbeError,
    int KeysInUse,
    double? OldestKeyAgeDays,
    bool KeyRotationDue,
    IReadOnlyList<ProviderTargetResponse> Targets);

/// <param name="Window"><c>1h</c>, <c>24h</c> or <c>30d</c>.</param>
/// <param name="ProbePercent">Share of scheduled probes that were answered; null: none were made.</param>
/// <param name="AttemptPercent">Share of callers' attempts that did not fail by the provider's fault (a rate limit is none); null: none were made.</param>
/// <param name="SlaMet">Whether both are at or above the SLA; null without an SLA or a measurement.</param>
public sealed record ProviderUptimeResponse(string Window, long Probes, double? ProbePercent, long Attempts, double? AttemptPercent, bool? SlaMet);

/// <param name="Breaker"><c>closed</c>, <c>half_open</c> or <c>open</c>.</param>
/// <param name="Waiting">Requests that wait for its rate limit or cooldown.</param>
public sealed record ProviderTargetResponse(
    string Model, string Breaker, int Waiting, int InFlight, int? RequestsPerMinute, int? TokensPerMinute, IReadOnlyList<ProviderLaneResponse> Keys);

/// <param name="Key">The key's name.</param>
/// <param name="State"><c>in_use</c>, <c>cooling</c> (the provider asked for rest) or <c>refused</c> (401).</param>
public sealed record ProviderLaneResponse(string Key, string State, int InFlight);

/// <param name="Name">By which people tell keys apart.</param>
/// <param name="Key">The key; stored encrypted, never shown again.</param>
/// <param name="RequestsPerMinute">The provider's limit for this key and any one model; default: as the model says.</param>
/// <param name="TokensPerMinute">Likewise, of tokens.</param>
/// <param name="Replaces">A key that retires in its favour.</param>
/// <param name="OverlapSeconds">How long the replaced key stays in use: 0 to 30 days. Default 5 minutes.</param>
public sealed record ProviderKeyRequest(
    string Name, string Key, long? RequestsPerMinute = null, long? TokensPerMinute = null, Guid? Replaces = null, long? OverlapSeconds = null);

/// <param name="Id">Null for the key that configuration gives.</param>
/// <param name="Hint">The last characters.</param>
/// <param name="State"><c>in_use</c>, <c>retiring</c>, <c>retired</c> or <c>refused</c> (401, as the answering replica met it).</param>
/// <param name="AgeDays">Null for the configured key.</param>
/// <param name="RotationDue">Older than <c>Routing:KeyMaxAgeDays</c>.</param>
/// <param name="LastUsedAt">To the minute.</param>
public sealed record ProviderKeyResponse(
    Guid? Id,
    string Object,
    string Provider,
    string Name,
    string? Hint,
    string State,
    DateTimeOffset? CreatedAt,
    double? AgeDays,
    bool RotationDue,
    DateTimeOffset? RetiresAt,
    DateTimeOffset? LastUsedAt,
    int? RequestsPerMinute,
    int? TokensPerMinute);
