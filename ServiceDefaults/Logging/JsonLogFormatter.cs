using System.Buffers;
using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace AiAspire.ServiceDefaults.Logging;

/// <summary>
/// One JSON object per line: <c>timestamp</c> (UTC, ISO 8601), <c>level</c>, <c>category</c>, <c>event_id</c>, <c>message</c>,
/// <c>trace_id</c>, <c>span_id</c>, <c>request_id</c>, <c>tenant_id</c>, <c>user_id</c>, <c>exception</c>, <c>parameters</c>,
/// <c>scopes</c>; what is absent is left out. Every text passes the <see cref="ILogScrubber"/>.
/// </summary>
internal sealed class JsonLogFormatter(ILogScrubber scrubber, TimeProvider time)
{
    private const string OriginalFormat = "{OriginalFormat}";

    private static readonly JsonWriterOptions WriterOptions = new()
    {
        // The sink is a log file or terminal, never HTML: keep umlauts and quotes readable.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    [ThreadStatic]
    private static Utf8JsonWriter? _writer;

    /// <summary>Writes the entry's line, its end included; nothing for an entry that says nothing.</summary>
    public void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, IBufferWriter<byte> target)
    {
        var message = logEntry.Formatter?.Invoke(logEntry.State, logEntry.Exception);
        if (message is null && logEntry.Exception is null)
            return;

        var json = _writer ??= new Utf8JsonWriter(target, WriterOptions);
        json.Reset(target);

        json.WriteStartObject();
        json.WriteString("timestamp"u8, time.GetUtcNow().UtcDateTime);
        json.WriteString("level"u8, LevelName(logEntry.LogLevel));
        json.WriteString("category"u8, logEntry.Category);
        if (logEntry.EventId.Id != 0)
            json.WriteNumber("event_id"u8, logEntry.EventId.Id);
        if (logEntry.EventId.Name is { } eventName)
            json.WriteString("event_name"u8, eventName);
        json.WriteString("message"u8, scrubber.Scrub(message ?? string.Empty));
        WriteIds(json);
        if (logEntry.Exception is { } exception)
            json.WriteString("exception"u8, scrubber.Scrub(exception.ToString()));
        WriteParameters(json, logEntry.State);
        WriteScopes(json, scopeProvider);
        json.WriteEndObject();
        json.Flush();
        target.Write("\n"u8);
    }

    private void WriteIds(Utf8JsonWriter json)
    {
        if (Activity.Current is { IdFormat: ActivityIdFormat.W3C } activity)
        {
            json.WriteString("trace_id"u8, activity.TraceId.ToHexString());
            json.WriteString("span_id"u8, activity.SpanId.ToHexString());
        }

        if (LogContext.Current is not { } identity)
            return;
        if (identity.RequestId is { } requestId)
            json.WriteString("request_id"u8, scrubber.Scrub(requestId));
        if (identity.TenantId is { } tenantId)
            json.WriteString("tenant_id"u8, scrubber.Scrub(tenantId));
        if (identity.UserId is { } userId)
            json.WriteString("user_id"u8, scrubber.Scrub(userId));
    }

    private void WriteParameters<TState>(Utf8JsonWriter json, TState state)
    {
        if (state is not IReadOnlyList<KeyValuePair<string, object?>> parameters)
            return;

        var open = false;
        for (var i = 0; i < parameters.Count; i++)
        {
            var (name, value) = parameters[i];
            if (name == OriginalFormat)
                continue;
            if (!open)
            {
                json.WriteStartObject("parameters"u8);
                open = true;
            }

            json.WritePropertyName(name);
            WriteValue(json, value);
        }

        if (open)
            json.WriteEndObject();
    }

    private void WriteScopes(Utf8JsonWriter json, IExternalScopeProvider? scopes)
    {
        if (scopes is null)
            return;

        var state = new ScopeState(this, json);
        scopes.ForEachScope(static (scope, state) => state.Write(scope), state);
        if (state.Open)
            json.WriteEndArray();
    }

    private sealed class ScopeState(JsonLogFormatter formatter, Utf8JsonWriter json)
    {
        public bool Open { get; private set; }

        public void Write(object? scope)
        {
            if (scope is null)
                return;
            if (!Open)
            {
                json.WriteStartArray("scopes"u8);
                Open = true;
            }

            if (scope is not IEnumerable<KeyValuePair<string, object?>> values)
            {
                formatter.WriteValue(json, scope);
                return;
            }

            json.WriteStartObject();
            foreach (var (name, value) in values)
            {
                if (name == OriginalFormat)
                    continue;
                json.WritePropertyName(name);
                formatter.WriteValue(json, value);
            }

            json.WriteEndObject();
        }
    }

    private void WriteValue(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null: json.WriteNullValue(); break;
            case bool flag: json.WriteBooleanValue(flag); break;
            case int number: json.WriteNumberValue(number); break;
            case double number when double.IsFinite(number): json.WriteNumberValue(number); break;
            case float number when float.IsFinite(number): json.WriteNumberValue(number); break;
            // A card number may hide in a long: only short ones are written without a look.
            case long and > -1_000_000_000_000 and < 1_000_000_000_000: json.WriteNumberValue((long)value); break;
            case decimal number: json.WriteNumberValue(number); break;
            case Guid id: json.WriteStringValue(id); break;
            case DateTimeOffset moment: json.WriteStringValue(moment.UtcDateTime); break;
            case string text: json.WriteStringValue(scrubber.Scrub(text)); break;
            default: json.WriteStringValue(scrubber.Scrub(value.ToString() ?? string.Empty)); break;
        }
    }

    private static string LevelName(LogLevel level) => level switch
    {
        LogLevel.Trace => "Trace",
        LogLevel.Debug => "Debug",
        LogLevel.Information => "Information",
        LogLevel.Warning => "Warning",
        LogLevel.Error => "Error",
        LogLevel.Critical => "Critical",
        _ => "None",
    };
}
