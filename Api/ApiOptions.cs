using System.ComponentModel.DataAnnotations;

namespace AiAspire.Api;

/// <summary>Section <c>Api</c>.</summary>
public sealed class ApiOptions
{
    public const string Section = "Api";

    /// <summary>Bytes of a request body; larger ones get 413. Default 20 MiB, room for a few images.</summary>
    [Range(1024, 1L << 30)]
    public long MaxRequestBytes { get; init; } = 20 * 1024 * 1024;
}
