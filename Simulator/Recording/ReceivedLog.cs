using System.Text;
using System.Text.Json;
using AiAspire.Simulator.Wire;
using Microsoft.Extensions.Options;

namespace AiAspire.Simulator.Recording;

/// <summary>A request as it came in, secrets shortened.</summary>
internal sealed record ReceivedRequest(
    DateTimeOffset At, string RequestId, string Method, string Path, KeyValuePair<string, string>[] Headers, ReadOnlyMemory<byte> Body)
{
    /// <summary>Bytes it keeps alive, roughly.</summary>
    public long Weight => Body.Length + 200 + Headers.Sum(h => 80 + (2L * (h.Key.Length + h.Value.Length)));
}

/// <summary>
/// The newest requests, bounded by number and bytes. It exists to prove what did <em>not</em> leave the house: a search looks at the
/// raw bytes, and at JSON strings with their escapes resolved.
/// </summary>
internal sealed class ReceivedLog(IOptions<SimulatorOptions> options, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly RingBuffer<ReceivedRequest> _requests = new(options.Value.ReceivedCapacity);
    private long _bytes;

    public bool Enabled { get; } = options.Value.RecordReceived;

    public void Add(HttpRequest request, string requestId, ReadOnlyMemory<byte> body)
    {
        if (!Enabled) return;
        var headers = new KeyValuePair<string, string>[request.Headers.Count];
        var next = 0;
        foreach (var (name, value) in request.Headers) headers[next++] = new(name, IsSecret(name) ? Shorten(value.ToString()) : value.ToString());
        var received = new ReceivedRequest(time.GetUtcNow(), requestId, request.Method, request.Path + request.QueryString, headers, body);
        lock (_gate)
        {
            _bytes += received.Weight;
            if (_requests.Add(received) is { } dropped) _bytes -= dropped.Weight;
            while (_bytes > options.Value.ReceivedMaxBytes && _requests.Count > 1) _bytes -= _requests.RemoveOldest().Weight;
        }
    }

    /// <summary>Newest first.</summary>
    public (List<ReceivedRequest> Found, int Searched, long Dropped) Search(string? contains, int limit)
    {
        ReceivedRequest[] requests;
        long dropped;
        lock (_gate) (requests, dropped) = (_requests.ToArray(), _requests.Dropped);

        var needle = Encoding.UTF8.GetBytes(contains ?? "");
        var found = new List<ReceivedRequest>();
        for (var i = requests.Length - 1; i >= 0 && found.Count < limit; i--)
            if (Contains(requests[i], contains ?? "", needle))
                found.Add(requests[i]);
        return (found, requests.Length, dropped);
    }

    public void Clear()
    {
        lock (_gate)
        {
            _requests.Clear();
            _bytes = 0;
        }
    }

    private static bool Contains(ReceivedRequest request, string text, byte[] needle)
    {
        var body = request.Body.Span;
        return needle.Length == 0
            || body.IndexOf(needle) >= 0
            || request.Path.Contains(text, StringComparison.Ordinal)
            || request.Headers.Any(h => h.Key.Contains(text, StringComparison.OrdinalIgnoreCase) || h.Value.Contains(text, StringComparison.Ordinal))
            || (body.Contains((byte)'\\') && StringsContain(body, text));
    }

    private static bool StringsContain(ReadOnlySpan<byte> json, string text)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { AllowMultipleValues = true });
        try
        {
            while (reader.Read())
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && reader.GetString()!.Contains(text, StringComparison.Ordinal))
                    return true;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // A malformed body was searched as far as it can be read; its raw bytes were looked at before.
            return false;
        }

        return false;
    }

    private static bool IsSecret(string name)
        => name.Equals("authorization", StringComparison.OrdinalIgnoreCase)
            || name.Equals("x-api-key", StringComparison.OrdinalIgnoreCase)
            || name.Equals("api-key", StringComparison.OrdinalIgnoreCase);

    private static string Shorten(string secret) => "…" + ApiKey.Tail(secret);
}
