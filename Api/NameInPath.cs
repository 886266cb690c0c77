using System.Diagnostics.CodeAnalysis;

namespace AiAspire.Api;

/// <summary>A name as one segment of a path, such as a model's id, which may hold slashes: some SDKs escape them, and the server leaves them escaped.</summary>
public readonly record struct NameInPath(string Value) : IParsable<NameInPath>
{
    public static NameInPath Parse(string s, IFormatProvider? provider) => new(s.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase));

    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out NameInPath result)
    {
        result = Parse(s ?? "", provider);
        return s is not null;
    }
}
