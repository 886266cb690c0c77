using System.Security.Cryptography;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>A value the application needs from outside: from <c>Parameters:name</c>, else a default.</summary>
public sealed class ParameterResource(string name, Func<string?> value, bool secret = false) : Resource(name), IValueProvider
{
    private readonly Lazy<string?> _value = new(value);

    /// <summary>Secret values are not shown.</summary>
    public bool Secret { get; } = secret;

    /// <inheritdoc />
    public ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default) => new(
        _value.Value ?? throw new DistributedApplicationException($"Parameter '{Name}' has no value: give it as Parameters:{Name}."));
}

/// <summary>Where a parameter's value comes from when nobody gives one.</summary>
public abstract class ParameterDefault
{
    /// <summary>Makes the value.</summary>
    public abstract string GetDefaultValue();
}

/// <summary>A random value.</summary>
public sealed class GenerateParameterDefault : ParameterDefault
{
    private const string LowerCase = "abcdefghijklmnopqrstuvwxyz";
    private const string UpperCase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    private const string Digits = "0123456789";
    private const string Specials = "-_.~";

    /// <summary>Length in characters. The default carries over 128 bits.</summary>
    public int MinLength { get; set; } = 22;

    /// <summary>Whether lower-case letters may be in it.</summary>
    public bool Lower { get; set; } = true;

    /// <summary>Whether upper-case letters may be in it.</summary>
    public bool Upper { get; set; } = true;

    /// <summary>Whether digits may be in it.</summary>
    public bool Numeric { get; set; } = true;

    /// <summary>Whether punctuation may be in it.</summary>
    public bool Special { get; set; } = true;

    /// <inheritdoc />
    public override string GetDefaultValue() => RandomNumberGenerator.GetString(
        (Lower ? LowerCase : "") + (Upper ? UpperCase : "") + (Numeric ? Digits : "") + (Special ? Specials : ""), MinLength);
}
