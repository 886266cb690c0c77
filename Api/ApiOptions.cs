using System.ComponentModel.DataAnnotations;
using AiAspire.Api.Edge;

namespace AiAspire.Api;

/// <summary>Section <c>Api</c>.</summary>
public sealed class ApiOptions : IValidatableObject
{
    public const string Section = "Api";

    /// <summary>Bytes of a request body; larger ones get 413. Default 20 MiB, room for a few images.</summary>
    [Range(1024, 1L << 30)]
    public long MaxRequestBytes { get; init; } = 20 * 1024 * 1024;

    /// <summary>Seconds in which a request's headers must have arrived. Default 15.</summary>
    [Range(1, 300)]
    public int RequestHeadersSeconds { get; init; } = 15;

    /// <summary>Seconds that a connection may be idle between two requests. Default 120.</summary>
    [Range(1, 3600)]
    public int KeepAliveSeconds { get; init; } = 120;

    /// <summary>Bytes a second that a client must send of its body, and take of its answer, after 5 s of grace. Default 240.</summary>
    [Range(1, 1_000_000)]
    public int MinBytesPerSecond { get; init; } = 240;

    /// <summary>A proxy that ends TLS before us. Without it nothing that a request says of its way is believed.</summary>
    public TlsProxyOptions? BehindTlsProxy { get; init; }

    /// <summary>Pages of which origins may call from a browser; none by default.</summary>
    public CorsOptions Cors { get; init; } = new();

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
        => [.. BehindTlsProxy?.Faults() ?? [], .. Cors.Faults()];
}
