using System.Text.Json.Nodes;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Encryption;

/// <summary>What is to be done to keys.</summary>
/// <param name="Chain">The tenant whose keys they are; the platform tenant for those above all tenants.</param>
/// <param name="Action">One of <see cref="AuditActions"/>.</param>
/// <param name="TargetKind"><c>user</c>, <c>tenant</c>, <c>master_key</c> and so on.</param>
/// <param name="TargetId">Which one.</param>
internal sealed record KeyOperation(Guid Chain, string Action, string TargetKind, string TargetId)
{
    public AuditActor By { get; init; } = AuditActor.System;

    /// <summary>Particulars, without personal data and without key material.</summary>
    public JsonObject? Details { get; init; }
}

/// <summary>
/// Writes operations on keys into the audit log. The keys are in another database, so the two cannot commit together: the intent is
/// committed first, and without it nothing is done; the outcome follows. An intent without an outcome is an operation whose process
/// died, and may have happened.
/// </summary>
internal sealed partial class KeyAudit(TenantSessions sessions, TimeProvider time, ILogger<KeyAudit> logger)
{
    private static readonly TimeSpan OutcomeLimit = TimeSpan.FromSeconds(10);

    /// <param name="operation">What it is.</param>
    /// <param name="work">Does it, and says what the entry should tell of the outcome.</param>
    /// <param name="cancellationToken">Cancels the intent and the work; the outcome is written all the same.</param>
    public async Task<T> RecordAsync<T>(KeyOperation operation, Func<CancellationToken, Task<(T Result, JsonObject? Outcome)>> work, CancellationToken cancellationToken)
    {
        var intent = time.NewId();
        await AppendAsync(operation, intent, new JsonObject { ["phase"] = "intent" }, cancellationToken);
        try
        {
            var (result, outcome) = await work(cancellationToken);
            await CloseAsync(operation, intent, "done", outcome);
            return result;
        }
        catch (Exception e)
        {
            await CloseAsync(operation, intent, "failed", new JsonObject { ["error"] = e.GetType().Name });
            throw;
        }
    }

    /// <summary>One entry for what is true already, under an id that makes writing it again do nothing.</summary>
    public Task NoteAsync(KeyOperation operation, Guid entryId, CancellationToken cancellationToken)
        => AppendAsync(operation, entryId, [], cancellationToken);

    private async Task CloseAsync(KeyOperation operation, Guid intent, string phase, JsonObject? outcome)
    {
        var details = outcome ?? [];
        details["phase"] = phase;
        details["intent"] = intent.ToString();
        try
        {
            using var limit = new CancellationTokenSource(OutcomeLimit, time);
            await AppendAsync(operation, time.NewId(), details, limit.Token);
        }
        catch (Exception e)
        {
            // It is done, or has failed, whatever is written down of it; the intent stands.
            LogOutcomeLost(logger, operation.Action, intent, phase, e);
        }
    }

    private Task AppendAsync(KeyOperation operation, Guid entryId, JsonObject more, CancellationToken cancellationToken)
    {
        var details = operation.Details?.DeepClone().AsObject() ?? [];
        foreach (var (name, value) in more)
            details[name] = value?.DeepClone();
        var entry = new AuditEvent(entryId, operation.By, operation.Action) { TargetKind = operation.TargetKind, TargetId = operation.TargetId, Details = details };
        return sessions.Open(new TenantScope(operation.Chain, null)).RunAsync((db, token) => db.AppendAuditAsync(entry, token), cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "The outcome of {Action} (intent {Intent}: {Phase}) could not be written to the audit log")]
    private static partial void LogOutcomeLost(ILogger logger, string action, Guid intent, string phase, Exception exception);
}
