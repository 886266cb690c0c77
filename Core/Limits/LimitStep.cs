using System.Runtime.CompilerServices;
using AiAspire.Core.Wire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace AiAspire.Core.Limits;

/// <summary>Reserves a call's tokens before the provider is called, caps the output at what was granted, and settles on every exit.</summary>
public sealed partial class LimitStep(LimitCounters counters, TimeProvider time, ILogger<LimitStep> logger) : IChatStep
{
    /// <summary>An answer shorter than this is of no use; with less left the call is refused.</summary>
    private const int LeastOutput = 16;

    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var windows = LimitWindows.For(call.Caller, call.StartedAt);
        await ReserveAsync(call, windows);
        try
        {
            await foreach (var reply in next(call, cancellationToken))
                yield return reply;
        }
        finally
        {
            // Not awaited here: the books are closed meanwhile, and whoever closes them waits for this as well.
            call.CountersSettled = SettleAsync(call, windows);
        }
    }

    private async Task ReserveAsync(ChatCall call, List<LimitWindow> windows)
    {
        var choices = call.Request.Choices;
        var least = Math.Min(LeastOutput, call.OutputCap) * choices;
        var demand = new CallDemand(call.EstimatedInput, (long)call.OutputCap * choices, least, 0, 0);
        var (granted, refused) = await CallRedisAsync(() => counters.ReserveAsync(call.RequestId, windows, demand));
        if (refused is not null)
            throw Refuse(call, refused);
        call.OutputCap = (int)(granted!.GrantedOutput / choices);
        if (granted.Tightest is { } tightest)
            call.Limit = State(tightest.Window, tightest.Remaining);
    }

    private static async Task<T> CallRedisAsync<T>(Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
        {
            // Without counters no limit holds: spending is refused rather than unbounded.
            throw new WireException(503, "server_error", "limits_unavailable", "Limits cannot be checked at the moment. Try again shortly.") { RetryAfter = TimeSpan.FromSeconds(2) };
        }
    }

    private WireException Refuse(ChatCall call, LimitRefusal refusal)
    {
        var window = refusal.Window;
        var left = Math.Max(0, window.Limit - refusal.Committed);
        call.Limit = State(window, left);
        return new WireException(
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
            $"The limit {window.Name} of {window.Limit} tokens leaves {left} ({refusal.Committed} used or reserved by calls in progress); this request needs about {call.EstimatedInput} for its input alone. It frees at {window.Ends:u}.")
        {
            RetryAfter = window.Ends - time.GetUtcNow(),
            // Retrying before a daily limit frees only burns requests.
            ShouldRetry = window.Ends - time.GetUtcNow() < TimeSpan.FromMinutes(2),
        };
    }

    private LimitState State(LimitWindow window, long remaining) => new(window.Name, window.Limit, remaining, window.Ends - time.GetUtcNow());

    private async Task SettleAsync(ChatCall call, List<LimitWindow> windows)
    {
        var used = call.Served?.Usage.Total ?? 0;
        try
        {
            await counters.SettleAsync(call.RequestId, windows, new CallUse(used, 0));
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
        {
            // The ledger has it, and the reservation's lease ends by itself.
            LogSettleFailed(logger, call.RequestId, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Limit counters of request {RequestId} could not be settled; they are behind the ledger until rebuilt")]
    private static partial void LogSettleFailed(ILogger logger, Guid requestId, Exception exception);
}

public static class LimitsRegistration
{
    public static IServiceCollection AddLimits(this IServiceCollection services)
        => services.AddSingleton<LimitCounters>().AddSingleton<LimitStep>();
}
