using AiAspire.ServiceDefaults.Logging;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Logs;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class ScrubbingLogProcessorTests
{
    [Fact]
    public void What_leaves_for_the_collector_is_scrubbed_and_carries_the_ids()
    {
        var sink = new Sink();
        using (var factory = LoggerFactory.Create(logging => logging.AddOpenTelemetry(options =>
        {
            options.IncludeFormattedMessage = true;
            options.AddProcessor(new ScrubbingLogProcessor(new LogScrubber()));
            options.AddProcessor(sink);
        })))
        using (LogContext.Push("req_1", "tenant-a", "user-7"))
        {
            factory.CreateLogger("Test").LogError(new InvalidOperationException("jane@example.com"), "Mail {Mail}", "jane@example.com");
        }

        var texts = string.Join('|', sink.Texts);
        Assert.DoesNotContain("jane", texts, StringComparison.Ordinal);
        Assert.Contains("message=Mail [email]", texts, StringComparison.Ordinal);
        Assert.Contains("exception.type=System.InvalidOperationException", texts, StringComparison.Ordinal);
        Assert.Contains("request_id=req_1|tenant_id=tenant-a|user_id=user-7", texts, StringComparison.Ordinal);
    }

    private sealed class Sink : BaseProcessor<LogRecord>
    {
        public List<string> Texts { get; } = [];

        public override void OnEnd(LogRecord data)
        {
            Texts.Add($"message={data.FormattedMessage}");
            Texts.Add($"body={data.Body}");
            Texts.Add($"exception={data.Exception}");
            Texts.AddRange(data.Attributes!.Select(a => $"{a.Key}={a.Value}"));
        }
    }
}
