using System.Buffers;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using AiAspire.ServiceDefaults.Logging;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class JsonLogFormatterTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 12, 30, 0, TimeSpan.Zero);

    [Fact]
    [Trait("Checklist", "OBS-10")]
    [Trait("Checklist", "OBS-11")]
    public void Every_line_is_one_json_object_with_the_ambient_ids()
    {
        var logger = new FormattingLogger();
        using var activity = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start();
        using (LogContext.Push(requestId: "req_1"))
        using (LogContext.Push(tenantId: "tenant-a", userId: "user-7"))
        using (logger.BeginScope(new Dictionary<string, object?> { ["Job"] = 12 }))
        {
            logger.LogWarning(new EventId(42, "Slow"), "Took {Elapsed} ms\nfor {Name}", 1500, "jane@example.com");
        }

        var text = logger.Output;
        Assert.Equal('\n', text[^1]);
        Assert.DoesNotContain('\n', text[..^1]);
        var line = JsonDocument.Parse(text).RootElement;
        Assert.Equal("2026-03-01T12:30:00Z", line.GetProperty("timestamp").GetString());
        Assert.Equal("Warning", line.GetProperty("level").GetString());
        Assert.Equal("Test", line.GetProperty("category").GetString());
        Assert.Equal(42, line.GetProperty("event_id").GetInt32());
        Assert.Equal("Slow", line.GetProperty("event_name").GetString());
        Assert.Equal("Took 1500 ms\nfor [email]", line.GetProperty("message").GetString());
        Assert.Equal(activity.TraceId.ToHexString(), line.GetProperty("trace_id").GetString());
        Assert.Equal(activity.SpanId.ToHexString(), line.GetProperty("span_id").GetString());
        Assert.Equal("req_1", line.GetProperty("request_id").GetString());
        Assert.Equal("tenant-a", line.GetProperty("tenant_id").GetString());
        Assert.Equal("user-7", line.GetProperty("user_id").GetString());
        Assert.Equal(1500, line.GetProperty("parameters").GetProperty("Elapsed").GetInt32());
        Assert.Equal("[email]", line.GetProperty("parameters").GetProperty("Name").GetString());
        Assert.Equal(12, line.GetProperty("scopes")[0].GetProperty("Job").GetInt32());
    }

    [Fact]
    public void Exceptions_scopes_and_numbers_are_scrubbed_too()
    {
        var logger = new FormattingLogger();
        using (logger.BeginScope("for {Mail}", "a@b.example"))
            logger.LogError(new InvalidOperationException("no account for jane@example.com"), "Card {Card}", 4111111111111111L);

        Assert.DoesNotContain("@", logger.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("4111111111111111", logger.Output, StringComparison.Ordinal);
        var line = JsonDocument.Parse(logger.Output).RootElement;
        Assert.Contains("no account for [email]", line.GetProperty("exception").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Ids_end_with_their_scope_and_are_left_out_when_unknown()
    {
        var logger = new FormattingLogger();
        LogContext.Push(requestId: "req_1").Dispose();
        Activity.Current = null;
        logger.LogInformation("plain");

        var line = JsonDocument.Parse(logger.Output).RootElement;
        Assert.Equal(["timestamp", "level", "category", "message"], line.EnumerateObject().Select(p => p.Name));
    }

    private sealed class FormattingLogger : ILogger
    {
        private readonly JsonLogFormatter _formatter = new(new LogScrubber(), new FakeTimeProvider(Now));
        private readonly LoggerExternalScopeProvider _scopes = new();
        private readonly ArrayBufferWriter<byte> _output = new();

        public string Output => Encoding.UTF8.GetString(_output.WrittenSpan);

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => _scopes.Push(state);

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _formatter.Write(new LogEntry<TState>(logLevel, "Test", eventId, state, exception, formatter), _scopes, _output);
    }
}
