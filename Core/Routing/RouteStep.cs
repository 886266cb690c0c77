using System.Diagnostics;
using System.Runtime.CompilerServices;
using AiAspire.Core.Data;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using AiAspire.Core.Wire;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Routing;

/// <summary>
/// The end of the pipeline: calls targets until one serves; <see cref="RouteCourse"/> says which, and when. Before the first content a
/// failure leads to another attempt; after it the reply ends with an error, for a second answer must never be spliced onto the first.
/// </summary>
public sealed partial class RouteStep(
    ChatProviders providers, IOpenAttempts openAttempts, TokenCounter tokens, TargetPicker picker, PriceBook prices, TimeProvider time, ILogger<RouteStep> logger) : IChatStep
{
    /// <summary>An attempt that begins just before the request's deadline still gets a moment.</summary>
    private static readonly TimeSpan LeastFirstToken = TimeSpan.FromSeconds(1);

    /// <summary>More events than this, or a longer time, without content are something that the caller should see: reasoning that is told, say.</summary>
    private const int MostHeld = 16;
    private static readonly TimeSpan LongestHeld = TimeSpan.FromSeconds(1);

    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var course = new RouteCourse(call, picker);
        while (true)
        {
            await using var admission = await course.NextAsync(cancellationToken);
            var attempt = await OpenAsync(call, admission, course.Left);
            using var activity = AttemptTracing.Start(call, attempt);
            await using var events = providers.For(attempt.Target.Target).SendAsync(call, attempt, cancellationToken).GetAsyncEnumerator(cancellationToken);
            // The opening events of a stream say only "assistant", once for each choice, or what a filter found in the prompt: held back until there is
            // content, so that a provider which fails before it can still be replaced.
            var held = new Queue<ChatEvent>();
            var (yielded, more) = (false, true);
            long? opened = null;
            ProviderException? failure = null;
            while (more)
            {
                try
                {
                    more = await events.MoveNextAsync();
                }
                catch (ProviderException e)
                {
                    failure = e;
                    break;
                }
                catch (Exception e)
                {
                    CloseAborted(call, attempt, admission, activity, callerLeft: e is OperationCanceledException && cancellationToken.IsCancellationRequested);
                    throw;
                }

                if (more)
                {
                    held.Enqueue(events.Current);
                    if (call.Reply.HasContent)
                        attempt.FirstToken ??= time.GetElapsedTime(attempt.StartTimestamp);
                    else if (!yielded && held.Count < MostHeld && time.GetElapsedTime(opened ??= time.GetTimestamp()) < LongestHeld)
                        continue;
                }

                while (held.TryDequeue(out var reply))
                {
                    yielded = true;
                    // The consumer may stop here: then the finally of the iterator runs, and the attempt is closed as aborted.
                    var stopped = true;
                    try
                    {
                        yield return reply;
                        stopped = false;
                    }
                    finally
                    {
                        if (stopped)
                            CloseAborted(call, attempt, admission, activity, callerLeft: true);
                    }
                }
            }

            if (failure is null)
            {
                Close(call, attempt, admission, AttemptOutcome.Succeeded);
                admission.Succeeded();
                AttemptTracing.Finish(activity, attempt, call.Reply);
                yield break;
            }

            attempt.Status ??= failure.Status;
            attempt.ErrorCode = failure.Code;
            Close(call, attempt, admission, failure.IsCallersFault ? AttemptOutcome.Refused : AttemptOutcome.Failed);
            AttemptTracing.Finish(activity, attempt, call.Reply);
            admission.Failed(failure);
            if (yielded || failure.IsCallersFault || !course.GoesOn(admission, failure))
                throw RouteErrors.ToWire(failure, midStream: yielded);
        }
    }

    private async Task<Attempt> OpenAsync(ChatCall call, Admission admission, TimeSpan left)
    {
        var now = time.GetUtcNow();
        var target = admission.Target;
        // The version in force as the attempt starts: the request may have waited since its admission.
        if (prices.Find(target.Target) is { } price && price.PriceId != target.Price.PriceId)
            target = target with { Price = price };
        var attempt = new Attempt
        {
            AttemptId = time.NewId(),
            Number = call.Attempts.Count + 1,
            Target = target,
            Key = admission.Lane.Key.Key,
            FirstTokenLimit = left > LeastFirstToken ? left : LeastFirstToken,
            OpenedAt = now,
            LeaseUntil = now + openAttempts.Lease,
        };
        call.Reply = call.Request.NewTally();
        await openAttempts.OpenAsync(call, attempt);
        attempt.StartTimestamp = time.GetTimestamp();
        call.Attempts.Add(attempt);
        return attempt;
    }

    /// <summary>A fault of our own is no leaving of the caller's: it is not charged.</summary>
    private void CloseAborted(ChatCall call, Attempt attempt, Admission admission, Activity? activity, bool callerLeft)
    {
        if (!callerLeft)
            attempt.ErrorCode = "internal_error";
        else if (call.Reply.HasContent)
            admission.Succeeded();
        Close(call, attempt, admission, callerLeft ? AttemptOutcome.Aborted : AttemptOutcome.Failed);
        AttemptTracing.Finish(activity, attempt, call.Reply);
    }

    private void Close(ChatCall call, Attempt attempt, Admission admission, AttemptOutcome outcome)
    {
        attempt.Outcome = outcome;
        attempt.Latency = time.GetElapsedTime(attempt.StartTimestamp);
        var reply = call.Reply;
        if (reply.Usage is { } usage)
        {
            Take(usage, call, attempt);
        }
        else if (attempt.Status >= 400)
        {
            // An error status: the provider did no work and bills none.
            (attempt.Usage, attempt.UsageSource) = (default, UsageSource.Provider);
        }
        else if (attempt.ErrorCode == ProviderException.NotReached)
        {
            // It never had the request.
            (attempt.Usage, attempt.UsageSource) = (default, UsageSource.Provider);
        }
        else if (call.Request.Kind == ModelKind.Moderation && attempt.Target.Price.IsFree)
        {
            // Its reply has no usage, and what is free is on no bill.
            (attempt.Usage, attempt.UsageSource) = (default, UsageSource.Provider);
        }
        else
        {
            var unseen = ReportedUsage.Unseen(call, attempt);
            (attempt.Usage, attempt.UsageSource) = (ReportedUsage.Count(call, tokens, unseen), unseen > 0 || !reply.HasContent ? UsageSource.Estimate : UsageSource.Delivered);
        }

        admission.Used = attempt.Usage.Total;
        if (picker.Options.LearnLimits)
            admission.Lane.Learn(attempt.GrantedRequests, attempt.GrantedTokens);
    }

    /// <summary>A report that cannot be true is neither charged nor counted: our own count is, and the row says so.</summary>
    private void Take(TokenUsage reported, ChatCall call, Attempt attempt)
    {
        if (ReportedUsage.Doubt(reported, call, tokens) is not { } doubt)
        {
            (attempt.Usage, attempt.UsageSource) = (reported, UsageSource.Provider);
            return;
        }

        (attempt.Usage, attempt.UsageSource) = (ReportedUsage.Count(call, tokens), UsageSource.Disputed);
        picker.Metrics.Disputed(attempt.Target, doubt);
        LogDisputed(
            logger, attempt.Target.Target.Provider, attempt.Target.Target.Model.Id, reported.TotalInput, reported.Output, doubt, attempt.Usage.TotalInput, attempt.Usage.Output,
            attempt.AttemptId, call.RequestId, call.Caller.TenantId);
    }

    [LoggerMessage(
        Level = LogLevel.Error,
        EventName = "provider.usage_disputed",
        Message = "ALARM: '{Provider}' reports {ReportedInput} tokens in and {ReportedOutput} out of '{Model}', which cannot be true ({Doubt}); {InputTokens} and {OutputTokens} by our own count are charged. "
            + "Compare its bill: attempt {AttemptId} of request {RequestId} (tenant {Tenant})")]
    private static partial void LogDisputed(
        ILogger logger, string provider, string model, long reportedInput, long reportedOutput, string doubt, long inputTokens, long outputTokens, Guid attemptId, Guid requestId, Guid tenant);
}
