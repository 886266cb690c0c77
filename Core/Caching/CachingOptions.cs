using System.ComponentModel.DataAnnotations;

namespace AiAspire.Core.Caching;

/// <summary>Section <c>Caching</c>.</summary>
public sealed class CachingOptions
{
    public const string Section = "Caching";

    /// <summary>
    /// The features whose calls are answered from the cache unless a call says otherwise (<c>X-AiAspire-Cache</c>); <c>*</c> is all of
    /// them. Default: none, since whoever asks a model twice may want two answers.
    /// </summary>
    public string[] Features { get; init; } = [];

    /// <summary>Seconds for which a reply is kept. Default one hour, at most a day.</summary>
    [Range(1, 86_400)]
    public int TtlSeconds { get; init; } = 3_600;

    /// <summary>A longer reply is not kept. Default 256 KiB.</summary>
    [Range(1_024, 16_777_216)]
    public int MaxReplyBytes { get; init; } = 262_144;

    /// <summary>Seconds to wait for an equal call that is already under way, before making another. Default 60.</summary>
    [Range(0, 600)]
    public int SingleFlightSeconds { get; init; } = 60;
}
