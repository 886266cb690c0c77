using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.Metadata;

namespace AiAspire.Api.Edge;

/// <summary>An endpoint that takes other sizes than <c>Api:MaxRequestBytes</c>: routing sets the server's limit by it.</summary>
/// <param name="bytes">Most bytes of the body.</param>
/// <param name="refusal">What a larger one is told, as a 413.</param>
internal sealed class BodyLimit(long bytes, WireException refusal) : IRequestSizeLimitMetadata
{
    public long? MaxRequestBodySize { get; } = bytes;

    public WireException Refusal { get; } = refusal;
}
