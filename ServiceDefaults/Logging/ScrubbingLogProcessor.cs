using OpenTelemetry;
using OpenTelemetry.Logs;

namespace AiAspire.ServiceDefaults.Logging;

/// <summary>Scrubs what leaves by OTLP as the console is scrubbed, and adds the ambient ids.</summary>
internal sealed class ScrubbingLogProcessor(ILogScrubber scrubber) : BaseProcessor<LogRecord>
{
    public override void OnEnd(LogRecord data)
    {
        if (data.FormattedMessage is { } message)
            data.FormattedMessage = scrubber.Scrub(message);
        if (data.Body is { } body)
            data.Body = scrubber.Scrub(body);

        var attributes = new List<KeyValuePair<string, object?>>((data.Attributes?.Count ?? 0) + 6);
        foreach (var (name, value) in data.Attributes ?? [])
            attributes.Add(new(name, value is bool or int or double ? value : Scrubbed(value)));

        // The exporter would write the exception's own text: replace it by the attributes it would have made.
        if (data.Exception is { } exception)
        {
            attributes.Add(new("exception.type", exception.GetType().FullName));
            attributes.Add(new("exception.message", scrubber.Scrub(exception.Message)));
            attributes.Add(new("exception.stacktrace", scrubber.Scrub(exception.ToString())));
            data.Exception = null;
        }

        if (LogContext.Current is { } identity)
        {
            Add("request_id", identity.RequestId);
            Add("tenant_id", identity.TenantId);
            Add("user_id", identity.UserId);
        }

        data.Attributes = attributes;

        void Add(string name, string? value)
        {
            if (value is not null)
                attributes.Add(new(name, scrubber.Scrub(value)));
        }
    }

    private string? Scrubbed(object? value) => value?.ToString() is { } text ? scrubber.Scrub(text) : null;
}
