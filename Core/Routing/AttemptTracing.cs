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
        // The conventions have no word for a moderation.
        var operation = call.Request.Kind switch
        {
            ModelKind.Embedding => "embeddings",
            ModelKind.Moderation => "moderation",
            _ => "chat",
        };
        var activity = Source.StartActivity($"{operation} {target.UpstreamModel}", ActivityKind.Client);
        if (activity is null)
            return null;
        activity.SetTag("gen_ai.operation.name", operation);
        activity.SetTag("gen_ai.provider.name", target.Settings.Wire == ProviderWire.Anthropic ? "anthropic" : "openai");
        activity.SetTag("gen_ai.request.model", target.UpstreamModel);
        activity.SetTag("gen_ai.request.max_tokens", call.OutputCap > 0 ? call.OutputCap : null);
        activity.SetTag("gen_ai.request.stream", call.Request.Stream);
        activity.SetTag("gen_ai.conversation.id", call.ConversationId);
        activity.SetTag("server.address", target.Settings.BaseAddress!.Host);
        activity.SetTag("server.port", target.Settings.BaseAddress.Port);
        activity.SetTag("aiaspire.provider", target.Provider);
        activity.SetTag("aiaspire.provider.key", attempt.Key?.Name);
        activity.SetTag("aiaspire.attempt.number", attempt.Number);
        activity.SetTag("aiaspire.attempt.id", attempt.AttemptId);
        return activity;
    }

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
        activity.SetTag("aiaspire.usage.source", attempt.UsageSource.ToString());
        activity.SetTag("http.response.status_code", attempt.Status);
        if (attempt.Outcome != AttemptOutcome.Succeeded)
        {
            activity.SetTag("error.type", attempt.Status?.ToString() ?? attempt.ErrorCode ?? attempt.Outcome.ToString());
            activity.SetStatus(ActivityStatusCode.Error, attempt.ErrorCode);
        }
    }
}
