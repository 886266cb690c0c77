using System.Globalization;
using AiAspire.Core.Wire;

namespace AiAspire.Api.Chat;

/// <summary>What a response says about itself, for dashboards and for the curious; the names that OpenAI uses where it has one.</summary>
internal static class ChatHeaders
{
    public const string Cost = "x-aiaspire-cost-usd";
    public const string CacheHeader = "x-aiaspire-cache";
    public const string Conversation = "x-aiaspire-conversation";

    public static void Write(HttpResponse response, ChatCall call, TimeProvider time)
    {
        var headers = response.Headers;
        if (call.ConversationId is { } conversation)
            headers[Conversation] = conversation.ToString();
        if (call.Limit is { } limit)
        {
            headers["x-ratelimit-limit-tokens"] = Text(limit.Limit);
            headers["x-ratelimit-remaining-tokens"] = Text(limit.Remaining);
            headers["x-ratelimit-reset-tokens"] = Duration(limit.Reset);
            headers["x-aiaspire-limit"] = limit.Name;
            // draft-ietf-httpapi-ratelimit-headers-10: quota of the policy; what remains of it, and the seconds until it is whole again.
            headers["RateLimit-Policy"] = $"\"{limit.Name}\";q={Text(limit.Limit)}";
            headers["RateLimit"] = $"\"{limit.Name}\";r={Text(limit.Remaining)};t={Text(Math.Ceiling(Math.Max(0, limit.Reset.TotalSeconds)))}";
        }

        if (call.Deprecation is { } deprecation)
        {
            // RFC 9745: a structured date. RFC 8594: an HTTP date.
            headers["Deprecation"] = $"@{deprecation.Since.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)}";
            if (deprecation.Sunset is { } sunset)
                headers["Sunset"] = sunset.ToString("R", CultureInfo.InvariantCulture);
            if (deprecation.Replacement is { } replacement)
                headers["x-aiaspire-replacement"] = replacement;
        }

        if (call.CacheHit is not null || call.LookedIntoCache)
            headers[CacheHeader] = call.CacheHit is not null ? "hit" : call.CachedItems is ( > 0, _) ? "partial" : "miss";
        if (call.CachedItems is var (cached, all))
            headers["x-aiaspire-cached-items"] = $"{cached}/{all}";
        if (call.ChargedCost is { } cost)
            headers[Cost] = cost.ToString("0.#########", CultureInfo.InvariantCulture);
        if (call.Attempts.Count == 0)
            return;
        var last = call.Attempts[^1];
        headers["x-aiaspire-attempts"] = string.Join(", ", call.Attempts.Select(Describe));
        headers["x-aiaspire-model"] = last.Target.Target.Model.Id;
        headers["x-aiaspire-overhead-ms"] = Text(Overhead(call, time));
    }

    /// <summary>Milliseconds of the call so far that were not spent waiting for a provider.</summary>
    private static double Overhead(ChatCall call, TimeProvider time)
    {
        var waited = call.Attempts.Sum(a => (a.Outcome == AttemptOutcome.Open ? time.GetElapsedTime(a.StartTimestamp) : a.Latency).TotalMilliseconds);
        return Math.Max(0, time.GetElapsedTime(call.StartTimestamp).TotalMilliseconds - waited);
    }

    private static string Describe(Attempt attempt)
        => $"{attempt.Target.Target.Provider}/{attempt.Target.Target.UpstreamModel};status={attempt.Status?.ToString(CultureInfo.InvariantCulture) ?? "none"}"
            + (attempt.ErrorCode is { } code ? $";error={code}" : "");

    /// <summary>OpenAI's form: <c>6m0s</c>, <c>1.5s</c>, <c>120ms</c>. Rounded up, so that nobody comes back too early.</summary>
    internal static string Duration(TimeSpan time)
    {
        var whole = TimeSpan.FromMilliseconds(Math.Max(0, Math.Ceiling(time.TotalMilliseconds)));
        if (whole < TimeSpan.FromSeconds(1))
            return $"{whole.Milliseconds}ms";
        var text = whole.TotalHours >= 1 ? $"{(int)whole.TotalHours}h" : "";
        if (whole.TotalMinutes >= 1)
            text += $"{whole.Minutes}m";
        return text + $"{Text(whole.Seconds + (whole.Milliseconds / 1000.0))}s";
    }

    private static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
