using System.Runtime.CompilerServices;
using System.Text;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>Has a value once the application is about to start.</summary>
public interface IValueProvider
{
    /// <summary>The value, or null where there is none.</summary>
    ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default);
}

/// <summary>A string whose holes are filled when the application starts: ports and passwords are not known before.</summary>
public sealed class ReferenceExpression : IValueProvider
{
    private readonly IReadOnlyList<object> _parts;

    private ReferenceExpression(IReadOnlyList<object> parts) => _parts = parts;

    /// <summary>Makes an expression from an interpolated string.</summary>
    public static ReferenceExpression Create(in ExpressionInterpolatedStringHandler handler) => new(handler.Parts);

    /// <inheritdoc />
    public async ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default)
    {
        var text = new StringBuilder();
        foreach (var part in _parts)
            text.Append(part as string ?? await ((IValueProvider)part).GetValueAsync(cancellationToken));
        return text.Length == 0 ? null : text.ToString();
    }

    /// <summary>Collects an interpolated string's parts: text as it is, values to be asked for later.</summary>
    [InterpolatedStringHandler]
    public readonly ref struct ExpressionInterpolatedStringHandler
    {
        /// <summary>Called by the compiler.</summary>
        public ExpressionInterpolatedStringHandler(int literalLength, int formattedCount) => Parts = new(formattedCount * 2 + Math.Min(literalLength, 1));

        internal List<object> Parts { get; }

        /// <summary>Called by the compiler.</summary>
        public void AppendLiteral(string value) => Parts.Add(value);

        /// <summary>Called by the compiler.</summary>
        public void AppendFormatted(string? value) => Parts.Add(value ?? "");

        /// <summary>Called by the compiler.</summary>
        public void AppendFormatted<T>(T valueProvider) where T : IValueProvider => Parts.Add(valueProvider);

        /// <summary>Called by the compiler.</summary>
        public void AppendFormatted<T>(IResourceBuilder<T> valueProvider) where T : IResource, IValueProvider => Parts.Add(valueProvider.Resource);
    }
}
