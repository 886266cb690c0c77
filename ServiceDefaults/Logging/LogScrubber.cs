using System.Text.RegularExpressions;

namespace AiAspire.ServiceDefaults.Logging;

/// <summary>
/// The last thing between a log line and its sink. Every message, parameter value, scope value and exception text passes
/// it, so it must be fast on clean text, thread-safe, and must not throw.
/// </summary>
public interface ILogScrubber
{
    /// <summary>The text without personal data and secrets.</summary>
    string Scrub(string text);
}

/// <summary>
/// Masks e-mail addresses, <c>sk-…</c> API keys, bearer tokens, JWTs (RFC 7519 compact form), passwords of connection
/// strings and payment card numbers that pass the Luhn check (ISO/IEC 7812-1). A safety net below classified logging, not a replacement of it.
/// </summary>
public sealed partial class LogScrubber : ILogScrubber
{
    private const int ShortestCardNumber = 13;
    private const int TimeoutMilliseconds = 1000;

    /// <inheritdoc />
    public string Scrub(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        try
        {
            return Mask(text);
        }
        catch (RegexMatchTimeoutException)
        {
            // Rather a line without its text than a secret in the log.
            return "[withheld: could not be scrubbed in time]";
        }
    }

    private static string Mask(string text)
    {
        // The cheap tests first: almost every log line is clean.
        if (text.Contains("password=", StringComparison.OrdinalIgnoreCase))
            text = Password().Replace(text, "***");
        if (text.Contains("bearer", StringComparison.OrdinalIgnoreCase))
            text = BearerToken().Replace(text, "Bearer ***");
        if (text.Contains("eyJ", StringComparison.Ordinal))
            text = JsonWebToken().Replace(text, "[token]");
        if (text.Contains("sk-", StringComparison.Ordinal))
            text = ApiKey().Replace(text, "sk-***");
        if (text.Contains('@', StringComparison.Ordinal) || text.Contains("%40", StringComparison.Ordinal))
            text = EmailAddress().Replace(text, "[email]");
        if (HasDigits(text, ShortestCardNumber))
            text = CardNumber().Replace(text, static match => PassesLuhn(match.ValueSpan) ? "[card]" : match.Value);
        return text;
    }

    private static bool HasDigits(string text, int wanted)
    {
        foreach (var c in text)
        {
            if (char.IsAsciiDigit(c) && --wanted == 0)
                return true;
        }

        return false;
    }

    private static bool PassesLuhn(ReadOnlySpan<char> digits)
    {
        var sum = 0;
        var twice = false;
        for (var i = digits.Length - 1; i >= 0; i--)
        {
            if (!char.IsAsciiDigit(digits[i]))
                continue;
            var digit = digits[i] - '0';
            if (twice)
                digit = digit > 4 ? (digit * 2) - 9 : digit * 2;
            sum += digit;
            twice = !twice;
        }

        return sum % 10 == 0;
    }

    // Each pattern starts behind a look-behind over its own first class, so that a long run without a match is tried once
    // and the scan stays linear on hostile input.

    [GeneratedRegex(@"(?<=password=)[^;\s]+", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, TimeoutMilliseconds)]
    private static partial Regex Password();

    [GeneratedRegex(@"\bbearer\s+[A-Za-z0-9._~+/=-]{6,}", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, TimeoutMilliseconds)]
    private static partial Regex BearerToken();

    [GeneratedRegex(@"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*", RegexOptions.None, TimeoutMilliseconds)]
    private static partial Regex JsonWebToken();

    [GeneratedRegex(@"(?<![A-Za-z0-9])sk-[\w-]{8,}", RegexOptions.None, TimeoutMilliseconds)]
    private static partial Regex ApiKey();

    // %40 is the "@" of an address inside a URL.
    [GeneratedRegex(@"(?<![\w.%+-])[\w.%+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+", RegexOptions.None, TimeoutMilliseconds)]
    private static partial Regex EmailAddress();

    // 13 to 19 digits, grouped or not, starting as the card networks start (2 to 6): epoch milliseconds start with 1, and a
    // neighbouring letter or dash means an identifier.
    [GeneratedRegex(@"(?<![\w-])[2-6](?:[ -]?[0-9]){12,18}(?![\w-])", RegexOptions.None, TimeoutMilliseconds)]
    private static partial Regex CardNumber();
}
