using System.Diagnostics;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;

namespace AiAspire.Core.Routing;

/// <summary>A span per provider call, in the names of the OpenTelemetry GenAI conventions (semconv 1.41). Never the text of a prompt or reply.</summary>
internal static class AttemptTracing
{
    public const string SourceName = "AiAspire.Routing";

    private static readonly ActivitySource Source = new(SourceName);

    public static Activity? Start(ChatCall call, Attempt attempt)
    {
        var target = attempt.Target.Target;
        var operation = Operation(call.Request.Kind);
        var activity = Source.StartActivity($"{operation} {target.UpstreamModel}", ActivityKind.Client);
        if (activity is null)
            return null;
        activity.SetTag("gen_ai.operation.name", operation);
        activity.SetTag("gen_ai.provider.name", Provider(target));
        activity.SetTag("gen_ai.request.model", target.UpstreamModel);
        activity.SetTag("gen_ai.request.max_tokens", call.OutputCap > 0 ? call.OutputCap : null);
        activity.SetTag("gen_ai.request.stream", call.Request.Stream);
        // Where the prompt itself is found, by those who may read it.
        activity.SetTag("gen_ai.conversation.id", call.ConversationId?.ToString());
        activity.SetTag("aiaspire.request.id", call.RequestId.ToString());
        activity.SetTag("aiaspire.feature", call.Feature);
        activity.SetTag("aiaspire.tier", call.Caller.Entitlements.Tier);
        activity.SetTag("server.address", target.Settings.BaseAddress!.Host);
        activity.SetTag("server.port", target.Settings.BaseAddress.Port);
        activity.SetTag("aiaspire.provider", target.Provider);
        activity.SetTag("aiaspire.provider.key", attempt.Key?.Name);
        activity.SetTag("aiaspire.attempt.number", attempt.Number);
        activity.SetTag("aiaspire.attempt.id", attempt.AttemptId.ToString());
        return activity;
    }

    /// <summary><c>gen_ai.operation.name</c>. The conventions have no word for a moderation.</summary>
    internal static string Operation(ModelKind kind) => kind switch
    {
        ModelKind.Embedding => "embeddings",
        ModelKind.Moderation => "moderation",
        _ => "chat",
    };

    /// <summary><c>gen_ai.provider.name</c>: whose wire it is.</summary>
    internal static string Provider(ModelTarget target) => target.Settings.Wire == ProviderWire.Anthropic ? "anthropic" : "openai";

    /// <summary><c>error.type</c>: the status where there is one, so that a 429 can be told from others; null for success.</summary>
    internal static string? Error(Attempt attempt)
        => attempt.Outcome == AttemptOutcome.Succeeded ? null
            : attempt.Status is >= 400 and var status ? status.ToString() : attempt.ErrorCode ?? attempt.Outcome.ToString();

    public static void Finish(Activity? activity, Attempt attempt, ReplyTally reply)
    {
        if (activity is null)
            return;
        activity.SetTag("gen_ai.response.id", reply.ProviderResponseId);
        activity.SetTag("gen_ai.response.model", reply.Model);
        if (reply.FinishReason is { } finish)
            activity.SetTag("gen_ai.response.finish_reasons", new[] { finish });
        activity.SetTag("gen_ai.usage.input_tokens", attempt.Usage.TotalInput);
        activity.SetTag("gen_ai.usage.output_tokens", attempt.Usage.Output);
        activity.SetTag("gen_ai.usage.cache_read.input_tokens", attempt.Usage.CachedInput);
        activity.SetTag("gen_ai.usage.cache_creation.input_tokens", attempt.Usage.CacheWrite);
        activity.SetTag("gen_ai.usage.reasoning.output_tokens", attempt.Usage.Reasoning);
        activity.SetTag("gen_ai.response.time_to_first_chunk", attempt.FirstToken?.TotalSeconds);
        activity.SetTag("aiaspire.cost_usd", (double)attempt.Cost);
        activity.SetTag("aiaspire.usage.source", attempt.UsageSource.ToString());
        activity.SetTag("http.response.status_code", attempt.Status);
        if (Error(attempt) is { } error)
        {
            activity.SetTag("error.type", error);
            activity.SetStatus(ActivityStatusCode.Error, attempt.ErrorCode);
        }
    }
}
