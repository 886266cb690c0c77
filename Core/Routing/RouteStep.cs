using System.Diagnostics;
using System.Runtime.CompilerServices;
using AiAspire.Core.Data;
using AiAspire.Core.Ledger;
using AiAspire.Core.Models;
using AiAspire.Core.Providers;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>
/// The end of the pipeline: calls the targets in order until one serves. Before the first content a failure moves on to the next
/// target; after it the reply ends with an error, for a second answer must never be spliced onto the first.
/// </summary>
public sealed class RouteStep(ChatProviders providers, OpenAttempts openAttempts, TokenCounter tokens, TimeProvider time) : IChatStep
{
    /// <summary>Longer than any attempt may live; the reconciler takes what is older for abandoned.</summary>
    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(15);

    public async IAsyncEnumerable<ChatEvent> InvokeAsync(ChatCall call, ChatNext next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ProviderException? last = null;
        foreach (var target in call.Route)
        {
            var attempt = await OpenAsync(call, target);
            using var activity = AttemptTracing.Start(call, attempt);
            await using var events = providers.For(target.Target).SendAsync(call, attempt, cancellationToken).GetAsyncEnumerator(cancellationToken);
            var yielded = false;
            ProviderException? failure = null;
            while (true)
            {
                try
                {
                    if (!await events.MoveNextAsync())
                        break;
                }
                catch (ProviderException e)
                {
                    failure = e;
                    break;
                }
                catch
                {
                    Close(call, attempt, AttemptOutcome.Aborted);
                    throw;
                }

                attempt.FirstToken ??= call.Reply.HasContent ? time.GetElapsedTime(attempt.StartTimestamp) : null;
                yielded = true;
                // The consumer may stop here: then the finally of the iterator runs, and the attempt is closed as aborted.
                var stopped = true;
                try
                {
                    yield return events.Current;
                    stopped = false;
                }
                finally
                {
                    if (stopped)
                        Close(call, attempt, AttemptOutcome.Aborted);
                }
            }

            if (failure is null)
            {
                Close(call, attempt, AttemptOutcome.Succeeded);
                AttemptTracing.Finish(activity, attempt, call.Reply);
                yield break;
            }

            attempt.Status ??= failure.Status;
            attempt.ErrorCode = failure.Code;
            Close(call, attempt, failure.IsCallersFault ? AttemptOutcome.Refused : AttemptOutcome.Failed);
            AttemptTracing.Finish(activity, attempt, call.Reply);
            if (yielded || failure.IsCallersFault)
                throw RouteErrors.ToWire(failure, midStream: yielded);
            last = failure;
        }

        throw RouteErrors.ToWire(last!, midStream: false);
    }

    private async Task<Attempt> OpenAsync(ChatCall call, PricedTarget target)
    {
        var now = time.GetUtcNow();
        var attempt = new Attempt
        {
            AttemptId = time.NewId(),
            Number = call.Attempts.Count + 1,
            Target = target,
            OpenedAt = now,
            LeaseUntil = now + Lease,
        };
        call.Reply = new ReplyTally();
        await openAttempts.OpenAsync(call, attempt);
        attempt.StartTimestamp = time.GetTimestamp();
        call.Attempts.Add(attempt);
        return attempt;
    }

    private void Close(ChatCall call, Attempt attempt, AttemptOutcome outcome)
    {
        attempt.Outcome = outcome;
        attempt.Latency = time.GetElapsedTime(attempt.StartTimestamp);
        var reply = call.Reply;
        if (reply.Usage is { } usage)
        {
            (attempt.Usage, attempt.UsageSource) = (usage, UsageSource.Provider);
        }
        else if (attempt.Status >= 400)
        {
            // An error status: the provider did no work and bills none.
            (attempt.Usage, attempt.UsageSource) = (default, UsageSource.Provider);
        }
        else if (reply.HasContent)
        {
            var output = tokens.Count(reply.Text) + ((reply.DeliveredBytes - reply.Text.Length) / 4);
            (attempt.Usage, attempt.UsageSource) = (new TokenUsage(tokens.CountInput(call.Request.Messages), 0, 0, output, 0), UsageSource.Delivered);
        }
        else
        {
            (attempt.Usage, attempt.UsageSource) = (new TokenUsage(tokens.CountInput(call.Request.Messages), 0, 0, 0, 0), UsageSource.Estimate);
        }
    }
}
