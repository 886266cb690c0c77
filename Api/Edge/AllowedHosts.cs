using System.Text.RegularExpressions;
using Microsoft.Extensions.Primitives;

namespace AiAspire.Api.Edge;

/// <summary>Which names requests may call us by: setting <c>AllowedHosts</c>, separated by <c>;</c>, with <c>*.</c> for subdomains.</summary>
internal sealed class AllowedHosts
{
    private static readonly Regex WellFormed = new(
        @"^(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);

    private readonly StringSegment[] _patterns;

    private AllowedHosts(StringSegment[] patterns) => _patterns = patterns;

    /// <summary>Any name will do: nothing is set, or <c>*</c>.</summary>
    public bool IsOpen => _patterns.Length == 0;

    public static AllowedHosts Of(IConfiguration configuration)
    {
        var names = configuration["AllowedHosts"]?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];
        return new AllowedHosts(names.Contains("*", StringComparer.Ordinal) ? [] : [.. names.Select(n => new StringSegment(n))]);
    }

    public bool Contain(HostString host) => IsOpen || HostString.MatchesAny(new StringSegment(host.Host), _patterns);

    /// <summary>A name or address with an optional port, and nothing that a parser further in could take for a path or a login.</summary>
    public static bool IsWellFormed(HostString host) => host.HasValue && WellFormed.IsMatch(host.Value);
}
