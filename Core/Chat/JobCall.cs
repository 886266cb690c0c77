using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Chat;

/// <summary>What a job has to say of a call that it makes for its user.</summary>
/// <param name="RequestId">A new one for each try: a repeat of the job is another request to the ledger.</param>
public sealed record JobCall(Guid RequestId, Caller Caller, ModelRequest Request)
{
    public string Feature { get; init; } = "jobs";

    /// <summary>Null for a request that is no part of a conversation.</summary>
    public Guid? ConversationId { get; init; }

    /// <summary>US dollars that the call may cost at most; null: no ceiling.</summary>
    public decimal? CostCeiling { get; init; }

    /// <summary>Adds to the settling transaction what is kept of a call that succeeded; told its cost in US dollars.</summary>
    public required Action<TenantBatch, decimal> Keep { get; init; }

    /// <summary>Asked when the call did not succeed for what ends the job all the same, told the cost likewise; null when it will be done again, at no charge.</summary>
    public Func<Action<TenantBatch, decimal>?> EndUnfinished { get; init; } = static () => null;
}
