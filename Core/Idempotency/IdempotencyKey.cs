using AiAspire.Core.Wire;

namespace AiAspire.Core.Idempotency;

/// <summary>The value of the <c>Idempotency-Key</c> header.</summary>
public static class IdempotencyKey
{
    public const string Header = "Idempotency-Key";
    public const int MaxLength = 255;

    /// <summary>
    /// The draft wants a quoted string (RFC 8941 §3.3.3); what clients send is mostly a bare token, and both are taken.
    /// </summary>
    /// <exception cref="WireException">400: empty, too long, or with characters that neither form allows.</exception>
    public static string? Parse(string? header)
    {
        if (string.IsNullOrEmpty(header))
            return null;
        var key = header.Trim();
        if (key.Length >= 2 && key[0] == '"' && key[^1] == '"')
            key = key[1..^1].Replace("\\\"", "\"", StringComparison.Ordinal).Replace(@"\\", "\\", StringComparison.Ordinal);
        return key.Length is > 0 and <= MaxLength && key.All(static c => c is >= ' ' and <= '~')
            ? key
            : throw WireException.BadRequest($"{Header} takes 1 to {MaxLength} printable ASCII characters.", Header, "invalid_value");
    }
}
