using AiAspire.Core.Data;
using AiAspire.Core.Models;
using AiAspire.Core.Tenancy;

namespace AiAspire.Core.Wire;

/// <summary>Whether a call may be answered with the reply to an equal one.</summary>
public enum CacheUse
{
    /// <summary>As its feature is configured.</summary>
    Default,
    Use,
    Off,
}

/// <summary>The reply came from the cache.</summary>
/// <param name="Provider">Who had given it.</param>
/// <param name="Model">The model that had given it.</param>
public sealed record CacheHit(string Provider, string Model);

/// <summary>One request on its way through the pipeline: what came in, and what each step found out or decided.</summary>
public sealed class ChatCall
{
    public required Guid RequestId { get; init; }

    public required Caller Caller { get; init; }

    /// <summary>As the steps further in are to see it: the cache takes off what it has.</summary>
    public required ModelRequest Request { get; set; }

    /// <summary>The product feature that the caller names (<c>X-AiAspire-Feature</c>); a dimension of cost and limits.</summary>
    public string Feature { get; init; } = "chat";

    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>The conversation this belongs to; a new one when the caller named none. Null for a request that is no part of one.</summary>
    public required Guid? ConversationId { get; init; }

    /// <summary>Monotonic, for durations.</summary>
    public long StartTimestamp { get; init; }

    /// <summary>The targets that may serve, first choice first; set by routing's admission.</summary>
    public IReadOnlyList<PricedTarget> Route { get; set; } = [];

    /// <summary>Input tokens as estimated before the call.</summary>
    public long EstimatedInput { get; set; }

    /// <summary>Most output tokens per choice; sent upstream.</summary>
    public int OutputCap { get; set; }

    /// <summary>What is left of the tightest window after this call was reserved; for the response headers.</summary>
    public LimitState? Limit { get; set; }

    /// <summary>What the caller says of the cache.</summary>
    public CacheUse Cache { get; init; }

    /// <summary>Set when the cache answered: then there is no attempt, and no charge.</summary>
    public CacheHit? CacheHit { get; set; }

    /// <summary>The cache was asked and had nothing.</summary>
    public bool LookedIntoCache { get; set; }

    /// <summary>When the call had ended, for the counters and for the ledger alike.</summary>
    public DateTimeOffset? EndedAt { get; set; }

    /// <summary>
    /// Tells the limits' counters what the call used: the attempt that its caller pays for, and all that providers bill. Set by whoever
    /// reserved for it; frees the reservation, and never fails.
    /// </summary>
    public Func<Attempt?, IReadOnlyCollection<Attempt>, Task>? CountUse { get; set; }

    /// <summary>Every call made to a provider, in order.</summary>
    public List<Attempt> Attempts { get; } = [];

    /// <summary>The attempt that the caller pays for and whose tokens count against limits; null when none served. What failed attempts cost is ours.</summary>
    public Attempt? Served => Attempts.LastOrDefault(a => a.Outcome is AttemptOutcome.Succeeded or AttemptOutcome.Aborted);

    /// <summary>Read off the events of the attempt that serves.</summary>
    public ReplyTally Reply { get; set; } = new();

    /// <summary>Set when the call is settled.</summary>
    public decimal? ChargedCost { get; set; }

    /// <summary>US dollars that the cache spared, of the whole reply or of a part of it.</summary>
    public decimal SavedCost { get; set; }

    /// <summary>Of a request for several things: how many the cache had, and how many were asked for. Null: it was not asked so.</summary>
    public (int Cached, int All)? CachedItems { get; set; }

    /// <summary>The model that the caller named is on its way out; for the response headers.</summary>
    public ModelDeprecation? Deprecation { get; set; }

    /// <summary>Statements to run in the settling transaction, such as the completion of a job. They throw to undo the whole.</summary>
    public Action<TenantBatch>? AlsoSettle { get; init; }

    /// <summary>
    /// For work that is done again when it fails: asked when the call did not succeed for what ends the work all the same, in the settling
    /// transaction; null when it will be done again. Only what ends is charged. Not set: a caller who leaves pays for what was delivered.
    /// </summary>
    public Func<Action<TenantBatch>?>? EndUnfinished { get; init; }

    /// <summary>US dollars that the call may cost its caller at most; null: no ceiling.</summary>
    public decimal? CostCeiling { get; init; }

    /// <summary>
    /// Whether a lease of the call's may have run out before it ended, so that the reconciler took it for dead. From half of the lease on,
    /// since the reconciler goes by another clock.
    /// </summary>
    public bool MayBeAbandoned => Attempts.Exists(a => EndedAt - a.OpenedAt > (a.LeaseUntil - a.OpenedAt) / 2);

    /// <summary>Decides how the call ends; asked once, by the step that closes it.</summary>
    /// <param name="outcome"><c>succeeded</c>, <c>failed</c> or <c>aborted</c>.</param>
    public CallEnd EndAs(string outcome)
    {
        var also = outcome == "succeeded" ? AlsoSettle : EndUnfinished?.Invoke();
        // What will be done again leaves its attempts in the ledger and nothing else.
        return new CallEnd(outcome, Charged: outcome == "succeeded" || EndUnfinished is null || also is not null, also);
    }

    /// <summary>Has the counters say of the call what the ledger says.</summary>
    /// <param name="charged">Whether its caller pays for it.</param>
    /// <param name="booked">Whether its attempts stand in the ledger as this process knows them.</param>
    public Task CountAsync(bool charged, bool booked = true) => CountUse?.Invoke(charged ? Served : null, booked ? Attempts : []) ?? Task.CompletedTask;
}

/// <summary>How a call ended.</summary>
/// <param name="Outcome"><c>succeeded</c>, <c>failed</c> or <c>aborted</c>.</param>
/// <param name="Charged">False for what will be done again: what it cost is ours.</param>
/// <param name="Also">Statements to run in the settling transaction; they throw to undo the whole.</param>
public sealed record CallEnd(string Outcome, bool Charged, Action<TenantBatch>? Also);

/// <summary>A target and the price that holds for this request.</summary>
public sealed record PricedTarget(ModelTarget Target, ModelPrice Price);

/// <summary>The tightest limit window, as response headers tell it.</summary>
public sealed record LimitState(string Name, long Limit, long Remaining, TimeSpan Reset);

/// <summary>One call to one provider.</summary>
public sealed class Attempt
{
    public required Guid AttemptId { get; init; }

    /// <summary>1 for the first attempt of a request.</summary>
    public required int Number { get; init; }

    public required PricedTarget Target { get; init; }

    public required DateTimeOffset OpenedAt { get; init; }

    /// <summary>When the reconciler may take the attempt for abandoned.</summary>
    public required DateTimeOffset LeaseUntil { get; init; }

    /// <summary>Monotonic; when the provider was called.</summary>
    public long StartTimestamp { get; set; }

    public AttemptOutcome Outcome { get; set; }

    /// <summary>HTTP status of the provider; null when none came.</summary>
    public int? Status { get; set; }

    public string? ErrorCode { get; set; }

    public TokenUsage Usage { get; set; }

    public UsageSource UsageSource { get; set; }

    public decimal Cost => Target.Price.CostOf(Usage);

    public string? ProviderRequestId { get; set; }

    /// <summary>The key to send; null sends the configured one.</summary>
    public ProviderKey? Key { get; init; }

    /// <summary>What the request's deadline leaves for the first byte; null: the provider's own time limit alone holds.</summary>
    public TimeSpan? FirstTokenLimit { get; init; }

    /// <summary>Requests per minute that the provider says it grants us; null when it does not say.</summary>
    public int? GrantedRequests { get; set; }

    /// <summary>Tokens per minute that the provider says it grants us; null when it does not say.</summary>
    public int? GrantedTokens { get; set; }

    public TimeSpan Latency { get; set; }

    public TimeSpan? FirstToken { get; set; }
}

public enum AttemptOutcome
{
    /// <summary>Committed before the provider is called; what is still open was never settled.</summary>
    Open,
    Succeeded,

    /// <summary>The provider refused the request as the caller's fault (4xx).</summary>
    Refused,

    /// <summary>The provider failed: 429, 5xx, connection, time-out, malformed or cut reply.</summary>
    Failed,

    /// <summary>The caller left.</summary>
    Aborted,

    /// <summary>The process died; closed at the estimate.</summary>
    Abandoned,
}

/// <summary>One step of the pipeline. It may act before, on each event, and after; its <c>finally</c> runs on every exit.</summary>
public interface IChatStep
{
    IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, CancellationToken cancellationToken);
}

/// <summary>The rest of the pipeline.</summary>
public delegate IAsyncEnumerable<ChatEvent> ChatNext(ChatCall call, CancellationToken cancellationToken);
