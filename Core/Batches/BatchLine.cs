using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Core.Files;

namespace AiAspire.Core.Batches;

/// <summary>
/// A request of a batch:
/// <code>{"custom_id":"request-1","method":"POST","url":"/v1/chat/completions","body":{…}}</code>
/// A line that is none gives a fault, and does not keep the other lines from being served.
/// </summary>
/// <param name="CustomId">The caller's own name for it; null when the line has none that could be told.</param>
/// <param name="Body">The request, as UTF-8 JSON; empty with a fault.</param>
/// <param name="Fault">What is wrong with the line; null when it can be served.</param>
public sealed record BatchLine(string? CustomId, ReadOnlyMemory<byte> Body, BatchFault? Fault)
{
    public const int MaxCustomIdLength = 512;

    // Of two fields with one name, we might check the one and serve the other.
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Reads a line by itself; that its <c>custom_id</c> is the only one of its name is the reader's of the whole file to see.</summary>
    public static BatchLine Read(FileLine line, string endpoint)
    {
        if (line.IsTooLong)
            return Faulty(null, "line_too_long", "The line is longer than is taken (Batches:MaxLineBytes).", null);
        try
        {
            using var document = JsonDocument.Parse(line.Bytes, Strict);
            return Read(document.RootElement, line.Number, endpoint);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string that is not Unicode.
            return Faulty(null, "invalid_json_line", "The line is not valid JSON.", null);
        }

        BatchLine Faulty(string? customId, string code, string message, string? param) => new(customId, default, new BatchFault(code, message, line.Number, param));
    }

    private static BatchLine Read(JsonElement root, int number, string endpoint)
    {
        if (root.ValueKind != JsonValueKind.Object)
            return Faulty(null, "invalid_json_line", "The line is not a JSON object.", null);
        if (!root.TryGetProperty("custom_id", out var id) || id.ValueKind != JsonValueKind.String || id.GetString() is not { Length: > 0 and <= MaxCustomIdLength } customId)
            return Faulty(null, "invalid_custom_id", $"'custom_id' must be a string of 1 to {MaxCustomIdLength} characters.", "custom_id");
        if (!root.TryGetProperty("method", out var method) || method.ValueKind != JsonValueKind.String || !method.ValueEquals("POST"u8))
            return Faulty(customId, "invalid_method", "'method' must be POST.", "method");
        if (!root.TryGetProperty("url", out var url) || url.ValueKind != JsonValueKind.String || !url.ValueEquals(endpoint))
            return Faulty(customId, "invalid_url", $"'url' must be the batch's endpoint, {endpoint}.", "url");
        if (!root.TryGetProperty("body", out var body) || body.ValueKind != JsonValueKind.Object)
            return Faulty(customId, "invalid_body", "'body' must be an object, the request.", "body");
        return new BatchLine(customId, JsonMarshal.GetRawUtf8Value(body).ToArray(), null);

        BatchLine Faulty(string? named, string code, string message, string? param) => new(named, default, new BatchFault(code, message, number, param));
    }
}
