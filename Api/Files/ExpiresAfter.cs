using AiAspire.Core.Wire;

namespace AiAspire.Api.Files;

/// <summary>OpenAI's <c>expires_after</c> and <c>output_expires_after</c>: how long after its creation a file goes.</summary>
internal static class ExpiresAfter
{
    private const string Anchor = "created_at";
    private const int LeastSeconds = 3600;
    private const int MostSeconds = 30 * 24 * 3600;

    /// <param name="anchor">As sent.</param>
    /// <param name="seconds">As sent; null when it is not a whole number.</param>
    /// <param name="anchorField">The anchor's name on the wire.</param>
    /// <param name="secondsField">The seconds'.</param>
    /// <exception cref="WireException">400.</exception>
    public static TimeSpan Check(string? anchor, long? seconds, string anchorField, string secondsField)
    {
        if (anchor != Anchor)
            throw WireException.BadRequest($"'{anchorField}' must be {Anchor}.", anchorField, "invalid_value");
        return seconds is >= LeastSeconds and <= MostSeconds
            ? TimeSpan.FromSeconds(seconds.Value)
            : throw WireException.BadRequest($"'{secondsField}' must be a number from {LeastSeconds} to {MostSeconds}.", secondsField, "invalid_value");
    }
}
